"""Of which class each image is: a function of its seed, so that it does not depend on who draws it."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from difflab.conditioning import Conditions
from difflab.reading.arrays import read_array
from difflab.types import Condition, Label


class Classes(Conditions):
    """A class alone, or nothing.

    Attributes:
        description: What a protocol says of it.
    """

    description: str

    @abstractmethod
    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        """The condition of the images with these seeds."""

    @property
    def fields(self) -> dict[str, Any]:
        return {"classes": self.description}

    def shown(self, images: Tensor, seeds: Int[Tensor, " b"]) -> Tensor:
        """The images."""
        return images


class NoClasses(Classes):
    """For a model without classes."""

    description = "none"
    columns = 0

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        return Condition()


class InTurn(Classes):
    """The classes one after the other: the image of seed n has the class classes[n mod K], so any run of seeds is balanced.

    Args:
        classes: Class numbers.
        num_classes: Of the model.
    """

    def __init__(self, classes: Sequence[int], num_classes: int):
        if not classes:
            raise ValueError("classes=[] names no class: leave it out for all classes in turn")
        for label in classes:
            if not 0 <= label < num_classes:
                raise ValueError(f"classes: there is no class {label}, the model knows 0 .. {num_classes - 1}")
        self._classes = torch.tensor(list(classes))
        every = list(classes) == list(range(num_classes))
        self.description = f"all {num_classes} in turn" if every else f"{','.join(map(str, classes))} in turn"
        self.columns = len(classes) if len(classes) > 1 else 0

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        return Condition(label=Label(self._classes.to(seeds.device)[seeds % len(self._classes)]))


class Listed(Classes):
    """Explicit labels: image i, of the seed first_seed + i, has labels[i].

    Args:
        labels: [N], at least as many as there are images.
        first_seed: Seed of the first image.
    """

    columns = 0

    def __init__(self, labels: Int[Tensor, " n"], first_seed: int):
        self._labels = labels.long()
        self._first_seed = first_seed
        digest = hashlib.sha256(self._labels.numpy().astype("<i8").tobytes()).hexdigest()[:16]
        self.description = f"{len(labels)} listed, sha256 {digest}"

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        # what lies beyond the list is padding, which needs some label
        position = (seeds - self._first_seed) % len(self._labels)
        return Condition(label=Label(self._labels.to(seeds.device)[position]))


def classes_of(
    choice: int | str | Sequence[int] | None, num_classes: int, first_seed: int, num_samples: int
) -> Classes:
    """What `classes=` means: nothing for all classes in turn, a class, a list of classes in turn, or an .npy file of a label per image."""
    if num_classes == 0:
        if choice is not None:
            raise ValueError(f"classes={choice}: this model knows no classes, leave classes out")
        return NoClasses()
    if choice is None:
        return InTurn(range(num_classes), num_classes)
    if isinstance(choice, str):
        return Listed(_read(Path(choice), num_classes, num_samples), first_seed)
    chosen = list(choice) if isinstance(choice, Sequence) else [choice]
    if wrong := [label for label in chosen if isinstance(label, bool) or not isinstance(label, int)]:
        raise ValueError(f"classes: {wrong[0]!r} is no class number")
    return InTurn(chosen, num_classes)


def _read(path: Path, num_classes: int, num_samples: int) -> Tensor:
    """Labels of an .npy file, checked."""
    if path.suffix != ".npy" or not path.is_file():
        raise ValueError(f"classes={path}: give a class number, a list of them, or an .npy file of a label per image")
    labels = read_array(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"classes={path}: expected whole numbers [N], found {labels.dtype} {list(labels.shape)}")
    if len(labels) < num_samples:
        raise ValueError(f"classes={path} has {len(labels)} labels for num_samples={num_samples}: give one per image")
    for i in np.flatnonzero((labels < 0) | (labels >= num_classes))[:1]:
        raise ValueError(f"classes={path}: label {i} is {labels[i]}, the model knows 0 .. {num_classes - 1}")
    return torch.from_numpy(labels.astype(np.int64))
