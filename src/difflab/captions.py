"""Captions as a part of what a model is told: the words themselves, which a text encoder cuts into tokens as it likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from difflab.condition_parts import DroppablePart


@dataclass(frozen=True)
class Text(DroppablePart):
    """A text for each example. Dropped, it is the empty text, as in Stable Diffusion, Imagen and GLIDE.

    Attributes:
        utf8: [B, N] the bytes of each in UTF-8, and zeros beyond its end.
    """

    utf8: UInt8[Tensor, "b n"]

    @staticmethod
    def of_captions(captions: Sequence[str]) -> Text:
        """That of texts, one for each example.

        Raises:
            ValueError: One holds a zero character, which would end it.
        """
        rows = [caption.encode() for caption in captions]
        for caption, row in zip(captions, rows, strict=True):
            if b"\0" in row:
                raise ValueError(f"text: {caption!r} holds a zero character; leave it out")
        longest = max(map(len, rows), default=0)
        whole = bytearray(b"".join(row.ljust(longest, b"\0") for row in rows))
        if not whole:
            return Text(torch.zeros(len(rows), 0, dtype=torch.uint8))
        return Text(torch.frombuffer(whole, dtype=torch.uint8).reshape(len(rows), longest))

    def null(self) -> Text:
        return Text(torch.zeros_like(self.utf8))

    def instead(self, value: Any) -> Text:
        if not isinstance(value, str):
            raise ValueError(f"text: {value!r} is no text")
        return Text(Text.of_captions([value]).utf8.to(self.utf8.device).expand(len(self), -1))

    def texts(self) -> list[str]:
        return [bytes(row).rstrip(b"\0").decode() for row in self.utf8.cpu().numpy()]
