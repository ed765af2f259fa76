"""Data of bits: bytes 0 and 255, which are -1 and 1 where a model sees them."""

from __future__ import annotations

import torch

from difflab.data.dataset import InMemoryImages
from difflab.data.errors import DataError
from difflab.data.named_sets import Digits


class Heartbeat(InMemoryImages):
    """Sequences with a pulse every so many bits: the first data of binomial diffusion (Sohl-Dickstein et al. 2015, section 3.1.2).

    Five patterns for the paper's period of 5, one for each phase, all equally often: a sequence has log2(period) bits of entropy, 2.322.

    Args:
        length: Bits of a sequence.
        period: From pulse to pulse, and how many phases there are.
        copies: Of each pattern.
    """

    own_extractor = "difflab.features.PixelValuesExtractor"

    def __init__(self, length: int = 20, period: int = 5, copies: int = 200):
        if not 1 <= period <= length or copies < 1:
            raise DataError(
                f"data.dataset: period={period} must be from 1 to length={length}, and copies={copies} at least 1."
            )
        phase = torch.arange(period).repeat(copies)
        pulses = torch.arange(length) % period == phase[:, None]
        super().__init__((255 * pulses.to(torch.uint8))[:, None, None], None, [], "heartbeat")


class BinaryDigits(InMemoryImages):
    """The 8x8 digits of `Digits` in black and white: white from the 9th of their 17 grey levels on."""

    own_extractor = "difflab.features.DigitsExtractor"

    def __init__(self) -> None:
        digits = Digits()
        pixels = digits.images(range(len(digits)))
        super().__init__(255 * (pixels >= 128).to(torch.uint8), digits.labels, digits.class_names, "digits_binary")
