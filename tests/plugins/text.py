"""Digits with captions: a data set that says a text of each image, and an embedder that makes tokens of it for cross-attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from difflab.data import AnnotationInMemory, Digits, InMemoryImages
from difflab.types import Condition, DroppablePart, Embedding

WORDS = [
    "",  # what lies beyond the end of a caption
    *("a", "the", "handwritten", "digit"),
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
]
LONGEST = 4


@dataclass(frozen=True)
class Text(DroppablePart):
    """Captions. Dropped, none of their words is there.

    Attributes:
        tokens: [B, N] numbers of words.
        mask: [B, N] bool, which are there.
    """

    tokens: Tensor
    mask: Tensor

    @staticmethod
    def of_captions(captions: list[str]) -> Text:
        rows = [[WORDS.index(word) for word in caption.split()] for caption in captions]
        tokens = torch.tensor([row + [0] * (LONGEST - len(row)) for row in rows])
        return Text(tokens, tokens > 0)

    def null(self) -> Text:
        return Text(torch.zeros_like(self.tokens), torch.zeros_like(self.mask))

    def instead(self, value: object) -> Text:
        strange = [word for word in str(value).split() if word not in WORDS]
        if strange or not 0 < len(str(value).split()) <= LONGEST:
            raise ValueError(f"text: {value!r} is no caption of 1 to {LONGEST} of the words {', '.join(WORDS[1:])}")
        one = Text.of_captions([str(value)]).map(lambda row: row.to(self.tokens.device))
        return one.map(lambda row: row.expand(len(self), -1))

    def texts(self) -> list[str]:
        return [" ".join(WORDS[token] for token in row if token) for row in self.tokens.tolist()]


def caption(number: int, digit: int) -> str:
    return f"{('a', 'the handwritten')[number % 2]} {WORDS[5 + digit]}"


class CaptionedDigits(InMemoryImages):
    """scikit-learn's digits without classes: "a seven", "the handwritten two"."""

    def __init__(self):
        digits = Digits()
        assert digits.labels is not None
        super().__init__(digits.images(range(len(digits))), None, (), "captioned digits")
        captions = [caption(i, digit) for i, digit in enumerate(digits.labels.tolist())]
        self.annotations = {"text": AnnotationInMemory(Text.of_captions(captions))}


class TextEmbedder(nn.Module):
    """Words -> tokens for cross-attention; a learned token stands for a text that was dropped, and before every other."""

    def __init__(self, dim: int, token_dim: int):
        super().__init__()
        self.words = nn.Embedding(len(WORDS), token_dim)
        self.places = nn.Parameter(0.02 * torch.randn(LONGEST, token_dim))
        self.start = nn.Parameter(0.02 * torch.randn(1, 1, token_dim))

    def forward(self, cond: Condition) -> Embedding:
        text = Text.of(cond)
        if text is None:
            raise ValueError("the network reads a text, and is told none")
        count = len(text)
        tokens = torch.cat([self.start.expand(count, 1, -1), self.words(text.tokens) + self.places], dim=1)
        present = torch.ones(count, 1, dtype=torch.bool, device=text.mask.device)
        return Embedding(tokens=tokens, mask=torch.cat([present, text.mask], dim=1))
