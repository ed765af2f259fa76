"""Points of the plane: the smallest data on which every method can be tried, in seconds.

Each set has a standard deviation of about 1 along both axes, and is a function of its seed: another seed gives points that were never
seen. What enters a fingerprint is how the points are made, so that it is the same on every processor.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from difflab.data.dataset import ImageDataset
from difflab.data.errors import DataError


class InMemoryPoints(ImageDataset):
    """Base of sets of points [N, C] float32, in the model's own units: a subclass makes them and passes them on."""

    own_extractor = "difflab.features.ValuesExtractor"

    @abstractmethod
    def __init__(
        self,
        points: Float[Tensor, "n c"],
        labels: Int[Tensor, " n"] | None,
        class_names: Sequence[str],
        recipe: Sequence[object],
    ):
        """`recipe` is all that the points follow from, for the fingerprint."""
        if points.ndim != 2 or not len(points) or not points.isfinite().all():
            raise DataError(
                f"{type(self).__name__}: expected finite points [N, C], found {points.dtype} {[*points.shape]}."
            )
        super().__init__((), points.shape[1], labels, class_names)
        self._points, self._recipe = points.float(), tuple(recipe)

    def __len__(self) -> int:
        return len(self._points)

    def images(self, indices: Sequence[int] | Int[Tensor, " n"]) -> Tensor:
        """[n, C] float32."""
        return self._points.index_select(0, torch.as_tensor(indices, dtype=torch.int64))

    def hash_content(self) -> str:
        return hashlib.blake2b(repr(self._recipe).encode(), digest_size=16).hexdigest()


class ArrayPoints(InMemoryPoints):
    """A data set made of a tensor of points or vectors: for a notebook, and for data that no reader here knows.

    Args:
        points: [N, C].
        labels: [N], or None.
        class_names: Defaults to "0", "1", ...
    """

    def __init__(self, points: Tensor, labels: Tensor | None = None, class_names: Sequence[str] | None = None):
        if class_names is None:
            class_names = [] if labels is None else [str(label) for label in range(int(labels.max()) + 1)]
        content = hashlib.blake2b(points.float().contiguous().numpy().tobytes(), digest_size=16).hexdigest()
        listed = None if labels is None else labels.tolist()
        super().__init__(points, labels, class_names, ["array", content, listed, list(class_names)])


def _check_length(length: int) -> None:
    if length < 1:
        raise DataError(f"data.dataset.length={length}: a data set needs at least one point.")


class SwissRoll(InMemoryPoints):
    """A spiral of one and a half turns, scikit-learn's `make_swiss_roll` seen from the side (Sohl-Dickstein et al. 2015, figure 1).

    Args:
        length: How many points.
        seed: Of the draws.
        noise: Standard deviation around the spiral, whose radius grows from 4.7 to 14.1; all of it is then divided by 7.
    """

    def __init__(self, length: int, seed: int = 0, noise: float = 0.25):
        from sklearn.datasets import make_swiss_roll  # a second of import that only these sets need

        _check_length(length)
        points, _ = make_swiss_roll(length, noise=noise, random_state=seed)
        plane = (np.asarray(points)[:, [0, 2]] - [2.0, 0.2]) / 7
        super().__init__(torch.from_numpy(plane), None, [], ["swiss_roll", length, seed, noise])


class Moons(InMemoryPoints):
    """Two half circles that reach into each other, a class each: scikit-learn's `make_moons`.

    Args:
        length: How many points.
        seed: Of the draws.
        noise: Standard deviation around the circles of radius 1; the axes are then divided by 0.87 and 0.5.
    """

    def __init__(self, length: int, seed: int = 0, noise: float = 0.05):
        from sklearn.datasets import make_moons

        _check_length(length)
        points, labels = make_moons(length, noise=noise, random_state=seed)
        plane = (np.asarray(points) - [0.5, 0.25]) / [0.87, 0.5]
        super().__init__(
            torch.from_numpy(plane), torch.from_numpy(labels), ["upper", "lower"], ["moons", length, seed, noise]
        )


class Checkerboard(InMemoryPoints):
    """The eight fields of one colour of a board of 4 x 4 fields, uniform in each: a density with sharp edges.

    Args:
        length: How many points.
        seed: Of the draws.
    """

    def __init__(self, length: int, seed: int = 0):
        _check_length(length)
        generator = np.random.default_rng(seed)
        column, row = generator.integers(0, 4, length), generator.integers(0, 2, length)
        corner = np.stack([column, 2 * row + column % 2], axis=1)
        plane = (corner + generator.random((length, 2)) - 2) / 1.155
        super().__init__(torch.from_numpy(plane), None, [], ["checkerboard", length, seed])
