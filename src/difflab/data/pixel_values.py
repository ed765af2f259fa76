"""From the numbers that others store images in to bytes, without guessing what they mean."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from difflab.data.errors import DataError

_ROUNDING = 1e-5
"""How far, relative to the range, a float may lie outside it: float32 arithmetic ends there when it means the edge."""


class PixelValues:
    """Pixels of some type, [n, ...] -> uint8.

    Integers must lie in 0..255. Floating-point numbers need `value_range` = (low, high), usually (-1, 1) or (0, 1); they become round(255
    (x - low) / (high - low)), which for (-1, 1) is what `metrics.to_uint8` does with samples.

    Args:
        dtype: Of what will come.
        value_range: What black and white are; None for integers.
        where: What an error calls image i.
    """

    def __init__(self, dtype: np.dtype, value_range: Sequence[float] | None, where: Callable[[int], str]):
        if dtype.kind not in "uif":
            raise DataError(f"{where(0)} holds {dtype}; expected uint8, other integers in 0..255, or floats.")
        self.is_float = dtype.kind == "f"
        self.value_range = None if value_range is None else _checked(value_range)
        self._dtype, self._where = dtype, where
        self._low, self._high = math.inf, -math.inf

    def __call__(self, values: NDArray) -> NDArray[np.uint8]:
        if not self.is_float:
            return values.astype(np.uint8, copy=False)
        assert self.value_range is not None
        low, high = self.value_range
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
        return np.rint(scaled).clip(0, 255).astype(np.uint8)

    def check(self, values: NDArray, first: int) -> None:
        """Refuses what `__call__` would spoil; `first` is the number of the first image."""
        if self.is_float and (broken := _first(~np.isfinite(values))) is not None:
            raise DataError(
                f"{self._where(first + broken)} holds NaN or infinity. Draw it again, or remove it and its label."
            )
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))
        if not self.is_float:
            sixteen = "; of 16 bits save numpy.rint(images / 257).astype('uint8')" if self._dtype.itemsize == 2 else ""
            self._refuse_outside(values, first, (0, 255), 0, f"expected integers in 0..255{sixteen}")
        elif self.value_range is not None:
            low, high = self.value_range
            remedy = f"value_range=[{low:g},{high:g}] was given: give the right one, or clip the images"
            self._refuse_outside(values, first, self.value_range, _ROUNDING * (high - low), remedy)

    def finish(self, name: str) -> None:
        """Says what can only be seen of the whole set, which an error calls `name`."""
        found = f"{name} holds {self._dtype} values from {self._low:.6g} to {self._high:.6g}"
        if self.is_float and self.value_range is None:
            raise DataError(f"{found}. Say which values are black and white: {_suggestion(self._low, self._high)}.")
        if self.value_range == (-1, 1) and self.is_float and self._low >= 0:
            warnings.warn(f"{found} and is read with value_range=[-1,1]; was [0,1] meant?", stacklevel=2)
        if not self.is_float and self._high <= 1:
            warnings.warn(f"{found}: all images are black. Were floats cast to integers?", stacklevel=2)

    def _refuse_outside(
        self, values: NDArray, first: int, limits: tuple[float, float], tolerance: float, remedy: str
    ) -> None:
        outside = (values < limits[0] - tolerance) | (values > limits[1] + tolerance)
        if (index := _first(outside)) is not None:
            image = values[index]
            raise DataError(
                f"{self._where(first + index)} has values from {image.min():.6g} to {image.max():.6g}; {remedy}."
            )


def _first(marked: NDArray) -> int | None:
    """The first image that is marked anywhere."""
    images = marked.reshape(len(marked), -1).any(axis=1)
    return int(images.argmax()) if images.any() else None


def _checked(value_range: Sequence[float]) -> tuple[float, float]:
    if len(value_range) != 2 or not (-math.inf < value_range[0] < value_range[1] < math.inf):
        raise DataError(f"value_range={list(value_range)}: expected [black, white], as [-1,1] or [0,1].")
    return float(value_range[0]), float(value_range[1])


def _suggestion(low: float, high: float) -> str:
    if low < -1.01 or high > 255.1 or (low < -0.01 and high > 1.01):
        return "value_range=[low,high]; they fit none of the usual ranges [-1,1], [0,1] and [0,255]"
    if low < -0.01:
        return "value_range=[-1,1]"
    return "value_range=[0,255]" if high > 1.01 else "value_range=[0,1], or [-1,1] if that is what they are"
