"""What the weights from which training starts mean for a run: those given (group `init_from`), or those that the seed draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from difflab.checkpoints.fitting import Fit
from difflab.checkpoints.given import GivenWeights
from difflab.config.groups import ConfigError
from difflab.runs import RunDirectory


class InitialWeights:
    """What `init_from` means for a run.

    A run that has begun goes on from its checkpoints. It needs the given weights no more, and is found by what runs have recorded of them.

    Args:
        given: The weights; None for those that the seed draws.
        folder: Of the directories of runs of this name.
    """

    def __init__(self, given: GivenWeights | None, folder: Path):
        self.given = given
        self.folder = folder
        self._fit = Fit()

    @classmethod
    def of(cls, given: GivenWeights | None, folder: Path, model: nn.Module) -> InitialWeights:
        """Those that are given, put into the model where they are at hand. A ConfigError says what does not fit.

        A whole state comes later, when nobody else writes to the run: `continued`.
        """
        initial = cls(given or None, folder)
        if given is not None and initial.fingerprint and initial._at_hand:
            initial._fit = given.put_into(model)
        return initial

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights; "" for those that the seed draws. A ConfigError if nobody knows them."""
        if self.given is None:
            return ""
        try:
            return self.given.fingerprint
        except ConfigError:
            if before := self._recorded():
                return before[-1][1]["sha256"]
            raise

    def check_begun(self, checkpoint: Path | None) -> None:
        """Raises a ConfigError if a run is to begin, and the weights from which it would are not at hand."""
        if self.given is not None and checkpoint is None and not self._at_hand:
            _ = self.given.state_file if self.given.state else self.given.source

    def said(self, checkpoint: Path | None) -> list[str]:
        """Lines for people, where a run begins with weights: which ones they are, and what of them does not fit."""
        begins = self._fit.told and checkpoint is None
        return [f"starts from {self._fit.told}", *self._fit.lines()] if begins else []

    def taken_over(self, run: RunDirectory, checkpoint: Path | None, take_over: Callable[[Path], str]) -> list[str]:
        """Has a run without a checkpoint go on from the state that is given, if one is.

        Args:
            run: That is about to begin, locked.
            checkpoint: That it has.
            take_over: Makes the checkpoint in which the state is its own, and says what it has done.
        """
        if self.given is None or not self.given.state or checkpoint is not None:
            return []
        return [take_over(self.given.state_file)]

    def changed(self, run: RunDirectory) -> str:
        """Why a run is a new one, though one beside it began with weights of this name: they are others now."""
        before = [one for one in self._recorded() if one[0] != run.path]
        if self.given is None or run.starts() or not before:
            return ""
        if any(record["sha256"] == self.fingerprint for _, record in before):
            return ""
        return f"init_from={self.given.checkpoint} has other weights than when {before[-1][0]} began with them: this is a new run"

    def record(self, run: RunDirectory) -> dict[str, Any]:
        """What provenance.json says of them."""
        if self.given is None:
            return {}
        starts = run.starts()
        told = self._fit.told or (starts[-1].get("initial_weights", {}).get("told") if starts else None)
        return {"initial_weights": self._name() | {"sha256": self.fingerprint, "told": told}}

    @property
    def _at_hand(self) -> bool:
        return self.given is not None and "source" in vars(self.given)

    def _name(self) -> dict[str, Any]:
        assert self.given is not None
        name = {"checkpoint": self.given.checkpoint, "track": self.given.track, "flags": self.given.flags}
        return name | ({"state": True} if self.given.state else {})

    def _recorded(self) -> list[tuple[Path, dict[str, Any]]]:
        """(run, what it has recorded of its initial weights) of the runs that began with weights of this name, the newest last."""
        found = []
        for path in self.folder.iterdir() if self.given is not None and self.folder.is_dir() else ():
            for start in RunDirectory(path).starts()[-1:]:
                record = start.get("initial_weights", {})
                if self._name().items() <= record.items() and isinstance(record.get("sha256"), str):
                    found.append((start.get("started", ""), path, record))
        return [(path, record) for _, path, record in sorted(found, key=lambda one: (one[0], one[1]))]
