"""Weights that a user gives to start from (group `init_from`): where they lie, and which ones they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from difflab.checkpoints.fitting import Fit, Source, put_into
from difflab.checkpoints.released import Released, released
from difflab.checkpoints.run_weights import RunWeights, at_step, checkpoint_at, run_weights
from difflab.config.groups import ConfigError
from difflab.former_names import Neutral
from difflab.networks import weights_sha256
from difflab.reading import FileError, shown
from difflab.reading.arrays import read_checkpoint
from difflab.runs import RunDirectory
from difflab.runs.export import model_weights, read_exported, read_run
from difflab.runs.listing import SeveralRunsError, found_run, identity_of
from difflab.runs.saved_checkpoints import newest, step_of


class GivenWeights:
    """Weights of a run, of a file or of a released model, put into a model before its first step.

    Its optimizer is fresh, and its EMAs begin at these weights. With `state` the whole state of a run is taken instead: weights, averages,
    the optimizer's moments and the count of steps, which go on under another configuration (see `difflab.checkpoints.continued`).

    Args:
        checkpoint: A run (its directory, or its id), a run at one of its checkpoints (RUN@500, RUN@best, RUN@last), a .ckpt or
            .safetensors file of one, a .safetensors or .pt file of weights by our names, or a released model: openai:<file.pt>,
            dit:<file.pt>.
        track: Of a run: the name of an EMA, or online; None for its first EMA.
        flags: Of a released model, where its file does not tell them.
        keys: Patterns of the names of weights that are taken. Of these nothing may be missing, left over or of another shape; of tables of
            classes the rows are taken that both have.
        skip: Patterns of names that are not taken.
        state: Whether the whole state is taken.
    """

    def __init__(
        self,
        checkpoint: str,
        track: str | None = None,
        flags: str | None = None,
        keys: Sequence[str] | str = ("*",),
        skip: Sequence[str] | str = (),
        state: Neutral[bool] = False,
    ):
        self.checkpoint = str(checkpoint)
        self.track = track
        self.flags = flags
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        self.skip = [skip] if isinstance(skip, str) else list(skip)
        self.state = state
        if state and (track is not None or flags is not None or self.keys != ["*"] or self.skip):
            raise ConfigError(
                f"init_from={self.checkpoint}: init_from.state=true takes all of a run: leave init_from.ema, flags, keys and skip out"
            )

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
        """A hash of what is taken, which is part of a run's identity: its place is not.

        Weights are known by their content; a state by the identity of its run, which determines it, and the step.
        """
        if self.state:
            run, step = self.origin
            return hashlib.sha256(f"state {identity_of(run)} {step}".encode()).hexdigest()
        return weights_sha256(dict(self.source.weights))

    @cached_property
    def origin(self) -> tuple[Path, int]:
        """Of a state: the directory of its run, and its step. A run that is yet to be trained is named by its directory and the step.

        Raises:
            ConfigError: It is no run, or has no such checkpoint.
        """
        name, at = at_step(self.checkpoint)
        try:
            path = found_run(name)
        except SeveralRunsError as error:
            raise ConfigError(f"init_from={error}") from error
        if at is not None and at.isdecimal() and (path.is_dir() or identity_of(path) != path.name):
            return path, int(at)
        file = self.state_file
        return file.parent.parent, _step(file)

    @property
    def state_file(self) -> Path:
        """The checkpoint of a run that holds the state. A ConfigError says why there is none."""
        name, at = at_step(self.checkpoint)
        path = found_run(name)
        if path.is_dir():
            try:
                found = newest(path / "checkpoints") if at is None else checkpoint_at(path, at)
            except ConfigError as error:
                raise ConfigError(f"init_from={str(error).removeprefix('checkpoint=')}") from error
            if found is None:
                raise ConfigError(
                    f"init_from={self.checkpoint}: there is no whole checkpoint in {path / 'checkpoints'}"
                )
            if (at is None or not at.isdecimal()) and not RunDirectory(path).complete.exists():
                raise ConfigError(
                    f"init_from={self.checkpoint}: {path} has not reached its end: name a step, as {path}@{_step(found)}"
                )
            return found
        if path.suffix != ".ckpt" or not RunDirectory(path.parent.parent).config.is_file():
            raise ConfigError(
                f"init_from={self.checkpoint}: a state is that of a run: its directory, RUN@step, or a .ckpt in its directory"
            )
        if not path.is_file():
            raise ConfigError(f"init_from={self.checkpoint}: there is no such file or directory")
        return path

    def put_into(self, model: nn.Module) -> Fit:
        """Gives a model these weights. A ConfigError lists what does not fit.

        Returns:
            What became of them.
        """
        return put_into(model, self.source, self.checkpoint, self.keys, self.skip)

    def _read(self) -> Source:
        if (model := released(self.checkpoint)) is not None:
            return self._released(model)
        path = Path(self.checkpoint)
        if path.is_file() and path.suffix == ".ckpt":
            return self._of_checkpoint(path)
        if path.is_file() and path.suffix == ".safetensors":
            weights, header = read_exported(path)
            if "step" not in header:
                return Source(weights, str(path))
            return _of_run(run_weights(str(path), None, None), path)
        if path.is_file():
            return Source(_plain(path), str(path))
        found = run_weights(self.checkpoint, self.track, None)
        run, (_, at) = RunDirectory(found.file.parent.parent), at_step(self.checkpoint)
        if not run.complete.exists() and not (at and at.isdecimal()):
            raise ConfigError(
                f"{run.path} has not reached its end ({run.status()}), and its weights would be others later: finish it, or name one of "
                f"its checkpoints, as {run.path}@{found.step}"
            )
        return _of_run(found, run.path)

    def _of_checkpoint(self, path: Path) -> Source:
        run = RunDirectory(path.parent.parent)
        config = run.settings() if run.config.is_file() else {}
        if config.get("adapter"):
            return _of_run(run_weights(str(path), self.track, None), path)
        saved = read_run(path)
        tracks = model_weights(saved)
        track = self.track or next(iter(tracks))
        if track not in tracks:
            raise ConfigError(f"init_from.track={track}: {path} has no such weights; there are {', '.join(tracks)}")
        return Source(tracks[track], f"{path} ({track}, step {saved['global_step']})", _classes(config))

    def _released(self, model: Released) -> Source:
        from difflab.networks import ClassTable

        if self.track is not None:
            raise ConfigError("it is one set of weights: leave init_from.track out")
        network = model.network(self.flags)
        classes = next((part.num_classes for part in network.modules() if isinstance(part, ClassTable)), None)
        weights = {f"network.{name}": value for name, value in network.state_dict().items()}
        return Source(weights, f"{model.format.PROJECT} {model.path}", classes)


def _of_run(found: RunWeights, path: Path) -> Source:
    return Source(found.weights, f"{path} ({found.track}, step {found.step})", _classes(found.config))


def _classes(config: Mapping[str, Any]) -> int | None:
    found = config.get("data", {}).get("num_classes")
    return found if isinstance(found, int) else None


def _step(checkpoint: Path) -> int:
    return step_of(checkpoint) if checkpoint.stem.startswith("step-") else int(read_run(checkpoint)["global_step"])


def _plain(path: Path) -> dict[str, Tensor]:
    """A file of torch.save that holds weights by name, alone or as a state_dict."""
    content = read_checkpoint(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise FileError(
            f"it holds {shown(type(content).__name__)} and no weights by name (OpenAI's: init_from=openai:{path}; DiT's: dit:{path})"
        )
    return content
