"""Of which class each image is: a function of its seed, so that it does not depend on who draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from difflab.reading.arrays import read_array
from difflab.sampling.prompts import Conditions
from difflab.types import Condition, Label


class InTurn(Conditions):
    """The image of seed s has the class classes[s mod K] of K; of a model without classes none.

    Args:
        classes: Class numbers, or one; None for all that there are.
    """

    def __init__(self, classes: int | Sequence[int] | None = None):
        self.classes = classes
        self._chosen = list(classes) if isinstance(classes, Sequence) else [] if classes is None else [classes]
        if wrong := [label for label in self._chosen if isinstance(label, bool) or not isinstance(label, int)]:
            raise ValueError(f"classes: {wrong[0]!r} is no class number")

    def check(self) -> None:
        known = self.drawing.num_classes
        _check_known(self.classes, known)
        if self.classes is not None and not self._chosen:
            raise ValueError("classes=[] names no class: leave it out for all classes in turn")
        for label in self._chosen:
            if not 0 <= label < known:
                raise ValueError(f"classes: there is no class {label}, the model knows 0 .. {known - 1}")
        self._in_turn = self._chosen or list(range(known))

    @property
    def names(self) -> frozenset[str]:
        return frozenset({"label"} if self._in_turn else ())

    @property
    def fields(self) -> dict[str, Any]:
        known = self.drawing.num_classes
        every = f"all {known} in turn" if self._in_turn == list(range(known)) else ""
        return {"classes": (every or f"{','.join(map(str, self._in_turn))} in turn") if self._in_turn else "none"}

    @property
    def columns(self) -> int:
        return len(self._in_turn) if len(self._in_turn) > 1 else 0

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        if not self._in_turn:
            return Condition()
        return Condition(label=Label(torch.tensor(self._in_turn, device=seeds.device)[seeds % len(self._in_turn)]))


class Listed(Conditions):
    """A class for each image: that of image i is labels[i].

    Args:
        labels: .npy file of at least as many as there are images.
    """

    def __init__(self, labels: str):
        self.labels = labels

    def check(self) -> None:
        _check_known(self.labels, self.drawing.num_classes)
        self._labels = _read(Path(self.labels), self.drawing.num_classes, self.drawing.num_samples)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({"label"})

    @property
    def fields(self) -> dict[str, Any]:
        digest = hashlib.sha256(self._labels.numpy().astype("<i8").tobytes()).hexdigest()[:16]
        return {"classes": f"{len(self._labels)} listed, sha256 {digest}"}

    def __call__(self, seeds: Int[Tensor, " b"]) -> Condition:
        # what lies beyond the list is padding, which needs some label
        position = (seeds - self.drawing.first_seed) % len(self._labels)
        return Condition(label=Label(self._labels.to(seeds.device)[position]))


def of_classes(choice: int | str | Sequence[int]) -> Conditions:
    """What the word `classes=` means: a class, a list of classes in turn, or an .npy file of a label per image."""
    return Listed(choice) if isinstance(choice, str) else InTurn(choice)


def _check_known(choice: Any, num_classes: int) -> None:
    if num_classes == 0 and choice is not None:
        raise ValueError(f"classes={choice}: this model knows no classes, leave classes out")


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
