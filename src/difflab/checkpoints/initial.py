"""The weights from which training starts: given ones (group `init_from`), or those that the seed draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from difflab.checkpoints.run_weights import run_weights
from difflab.config.groups import ConfigError
from difflab.reading import FileError, shown
from difflab.reading.arrays import read_checkpoint
from difflab.runs import RunDirectory
from difflab.runs.export import model_weights, read_exported, read_run, weights_sha256
from difflab.suggest import near_name


@dataclass(frozen=True)
class Source:
    """Weights as they were found.

    Attributes:
        weights: By the names that the model gives them.
        told: Which ones they are, for people.
    """

    weights: Mapping[str, Tensor]
    told: str


class GivenWeights:
    """Weights of a run, of a file or of a released model, put into a model before its first step.

    Its optimizer is fresh, and its EMAs begin at these weights.

    Args:
        checkpoint: A run's directory, a .ckpt or .safetensors file of one, a .safetensors or .pt file of weights by our names, or
            openai:<file.pt>.
        track: Of a run: the name of an EMA, or online; None for its first EMA.
        flags: Of one of OpenAI's files, where its name does not tell them.
        keys: Patterns of the names of weights that are taken. Of these nothing may be missing, left over or of another shape.
        skip: Patterns of names that are not taken.
    """

    def __init__(
        self,
        checkpoint: str,
        track: str | None = None,
        flags: str | None = None,
        keys: Sequence[str] | str = ("*",),
        skip: Sequence[str] | str = (),
    ):
        self.checkpoint = str(checkpoint)
        self.track = track
        self.flags = flags
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        self.skip = [skip] if isinstance(skip, str) else list(skip)

    @cached_property
    def source(self) -> Source:
        """The weights. A ConfigError says what is wrong with the name or the file."""
        try:
            return self._read()
        except ValueError as error:
            said = str(error).removeprefix(f"checkpoint={self.checkpoint}").removeprefix(":").strip()
            raise ConfigError(f"init_from={self.checkpoint}: {said}") from error

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights, which is part of a run's identity: their place is not."""
        return weights_sha256(dict(self.source.weights))

    def put_into(self, model: nn.Module) -> str:
        """Gives a model these weights. A ConfigError lists what does not fit.

        Returns:
            What was done, for people.
        """
        own, given = model.state_dict(), self.source.weights
        for pattern in (*self.keys, *self.skip):
            if not any(fnmatchcase(name, pattern) for name in (*own, *given)):
                near = near_name(pattern, own)
                hint = f"did you mean {near}?" if near else f"they are called as {next(iter(own))}"
                raise ConfigError(f"init_from: no weight is called {pattern}; {hint}")
        taken = self._taken(own)
        missing = [name for name in taken if name not in given]
        left_over = [name for name in self._taken(given) if name not in own]
        shapes = {name: (tuple(given[name].shape), tuple(own[name].shape)) for name in taken if name in given}
        misshapen = [f"{name} {theirs}, here {ours}" for name, (theirs, ours) in shapes.items() if theirs != ours]
        wrong = [
            *_listed("are missing there", [_with_near(name, left_over) for name in missing]),
            *_listed("are left over", left_over),
            *_listed("have another shape", misshapen),
        ]
        if wrong:
            raise ConfigError(
                f"init_from={self.checkpoint} does not fit this {type(model).__name__}: {'; '.join(wrong)}. 'init_from.skip=[...]' leaves "
                "some out, 'init_from.keys=[...]' takes no others (patterns of names, as network.embedders.*)"
            )
        if bad := next((name for name in taken if not bool(given[name].isfinite().all())), None):
            raise ConfigError(
                f"init_from={self.checkpoint}: {bad} holds values that are no numbers: name another checkpoint"
            )
        with torch.no_grad():
            for name in taken:
                own[name].copy_(given[name])
        return f"{self.source.told}, {len(taken)} of {len(own)} tensors"

    def _taken(self, names: Iterable[str]) -> list[str]:
        return [
            name
            for name in names
            if any(fnmatchcase(name, pattern) for pattern in self.keys)
            and not any(fnmatchcase(name, pattern) for pattern in self.skip)
        ]

    def _read(self) -> Source:
        if self.checkpoint.startswith("openai:"):
            return self._released(Path(self.checkpoint.removeprefix("openai:")))
        path = Path(self.checkpoint)
        if path.is_file() and path.suffix == ".ckpt":
            return self._of_checkpoint(path)
        if path.is_file() and path.suffix == ".safetensors":
            weights, header = read_exported(path)
            return Source(
                weights, f"{path} ({header['track']}, step {header['step']})" if "step" in header else str(path)
            )
        if path.is_file():
            return Source(_plain(path), str(path))
        found = run_weights(self.checkpoint, self.track, None)
        run = RunDirectory(found.file.parent.parent)
        if not run.complete.exists():
            raise ConfigError(
                f"{run.path} has not reached its end ({run.status()}), and its weights would be others later: finish it, or name one of "
                f"its checkpoints, as {found.file}"
            )
        return Source(found.weights, f"{run.path} ({found.track}, step {found.step})")

    def _of_checkpoint(self, path: Path) -> Source:
        saved = read_run(path)
        tracks = model_weights(saved)
        track = self.track or next(iter(tracks))
        if track not in tracks:
            raise ConfigError(f"init_from.track={track}: {path} has no such weights; there are {', '.join(tracks)}")
        return Source(tracks[track], f"{path} ({track}, step {saved['global_step']})")

    def _released(self, path: Path) -> Source:
        from difflab.checkpoints import openai

        if self.track is not None:
            raise ConfigError("it is one set of weights: leave init_from.track out")
        if not path.is_file():
            raise ConfigError("there is no such file")
        flags = openai.completed(self.flags, path) if self.flags else openai.flags_for(path)
        network = openai.load(path, flags).network
        return Source({f"network.{name}": value for name, value in network.state_dict().items()}, f"OpenAI's {path}")


def _plain(path: Path) -> dict[str, Tensor]:
    """A file of torch.save that holds weights by name, alone or as a state_dict."""
    content = read_checkpoint(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise FileError(
            f"it holds {shown(type(content).__name__)} and no weights by name (OpenAI's: init_from=openai:{path})"
        )
    return content


def _listed(what: str, names: list[str], most: int = 4) -> list[str]:
    if not names:
        return []
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return [f"{len(names)} {what} ({', '.join([*names[:most], *more])})"]


def _with_near(name: str, others: Sequence[str]) -> str:
    near = near_name(name, others)
    return f"{name}; {near} is meant?" if near else name


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
        self._told = ""

    @classmethod
    def of(cls, given: GivenWeights | None, folder: Path, model: nn.Module) -> InitialWeights:
        """Those that are given, put into the model where they are at hand. A ConfigError says what does not fit."""
        initial = cls(given or None, folder)
        if given is not None and initial.fingerprint and initial._at_hand:
            initial._told = given.put_into(model)
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
            _ = self.given.source

    def said(self, checkpoint: Path | None) -> str:
        """For a run that begins."""
        return f"starts from {self._told}" if self._told and checkpoint is None else ""

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
        told = self._told or (starts[-1].get("initial_weights", {}).get("told") if starts else None)
        return {"initial_weights": self._name() | {"sha256": self.fingerprint, "told": told}}

    @property
    def _at_hand(self) -> bool:
        return self.given is not None and "source" in vars(self.given)

    def _name(self) -> dict[str, str | None]:
        assert self.given is not None
        return {"checkpoint": self.given.checkpoint, "track": self.given.track, "flags": self.given.flags}

    def _recorded(self) -> list[tuple[Path, dict[str, Any]]]:
        """(run, what it has recorded of its initial weights) of the runs that began with weights of this name, the newest last."""
        found = []
        for path in self.folder.iterdir() if self.given is not None and self.folder.is_dir() else ():
            for start in RunDirectory(path).starts()[-1:]:
                record = start.get("initial_weights", {})
                if self._name().items() <= record.items() and isinstance(record.get("sha256"), str):
                    found.append((start.get("started", ""), path, record))
        return [(path, record) for _, path, record in sorted(found, key=lambda one: (one[0], one[1]))]
