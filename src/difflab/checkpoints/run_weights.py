"""The weights of a run that a name means: a run's directory, or one of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from difflab.buffers import recompute
from difflab.config.build import build
from difflab.config.groups import ConfigError
from difflab.config.trust import read_back
from difflab.reading import read_text, shown
from difflab.reading.json import fields
from difflab.runs.export import model_weights, read_exported, read_run, reconstruct
from difflab.runs.listing import SeveralRunsError, found_run, is_run
from difflab.runs.saved_checkpoints import agreed_checkpoint, is_whole, newest, saved, step_of
from difflab.suggest import suggestion
from difflab.training import TrainedModule

_AT = re.compile(r"(?P<run>.+)@(?P<at>\d{1,15}|best|last)")

_being_read: set[Path] = set()


@contextmanager
def once(name: str) -> Iterator[None]:
    """Within the context a model is read that guides another one. A ConfigError if that is the one that it guides, without end."""
    path = found_run(at_step(name)[0]).resolve()
    if path in _being_read:
        raise ConfigError(f"checkpoint={name} names itself as the model that guides it")
    _being_read.add(path)
    try:
        yield
    finally:
        _being_read.discard(path)


@dataclass(frozen=True)
class RunWeights:
    """Weights of the model of a run.

    Attributes:
        config: The run's configuration, of which nothing but parts that are trusted can be built.
        weights: By the names that the model gives them.
        track: Which of the run's weights these are.
        file: Where they lie; a directory for those that were put together from several files.
        step: After how many optimizer steps.
    """

    config: Mapping[str, Any]
    weights: dict[str, Tensor]
    track: str
    file: Path
    step: int


def run_weights(name: str, track: str | None, posthoc_std: float | None) -> RunWeights:
    """The weights that `checkpoint=<name>` means.

    Args:
        name: A run, RUN@500, RUN@best or RUN@last for one of its checkpoints, or one of its files.
        track: Which weights of a run, an EMA or online; None for its first EMA.
        posthoc_std: Length of an average to reconstruct from a run's snapshots instead.

    Raises:
        ConfigError: The name means no weights; the message says what is wrong with it.
    """
    run, at = at_step(name)
    try:
        path = found_run(run)
    except SeveralRunsError as error:
        raise ConfigError(f"checkpoint={error}") from error
    if at is not None:
        path = checkpoint_at(path, at)
    if posthoc_std is not None:
        if not (path / "config.yaml").is_file():
            raise ConfigError(f"checkpoint={name}: post-hoc EMA needs a run directory, with its snapshots{_near(path)}")
        if track is not None:
            raise ConfigError(f"track={track} and ema=posthoc are two averages: leave one of them out")
        config = _config(path / "config.yaml")
        weights, step = reconstruct(path / "snapshots", posthoc_std)
        if (config.get("trainable") or config.get("adapter")) and (last := newest(path / "checkpoints")) is not None:
            weights = {**model_weights(read_run(last))["online"], **weights}  # snapshots hold what learns
        return _merged(RunWeights(config, weights, f"posthoc std {posthoc_std:g}", path / "snapshots", step))
    if path.is_dir():
        checkpoint = agreed_checkpoint(path / "checkpoints")
        if checkpoint is None:
            if (path / "checkpoints").is_dir():
                raise ConfigError(f"checkpoint={name}: there is no whole checkpoint in {path / 'checkpoints'}")
            raise ConfigError(f"checkpoint={name} is not a run's directory{_near(path)}")
        path = checkpoint
    if not path.is_file():
        raise ConfigError(f"checkpoint={name}: there is no such file or directory")
    if path.suffix == ".pt":
        raise ConfigError(f"checkpoint={name}: a released model is named by checkpoint=openai:{name} or dit:{name}")
    if path.suffix not in (".ckpt", ".safetensors"):
        raise ConfigError(
            f"checkpoint={name}: expected a run's directory, or a .ckpt or .safetensors file of one{_near(path)}"
        )
    return _merged(_exported(path, track) if path.suffix == ".safetensors" else _saved(path, track))


def _merged(found: RunWeights) -> RunWeights:
    """The same for the model itself, without what an adapter has added to it."""
    adapter = build(found.config["adapter"]) if found.config.get("adapter") else None
    return found if adapter is None else replace(found, weights=adapter.merged(found.weights))


def at_step(name: str) -> tuple[str, str | None]:
    """RUN@500, RUN@best or RUN@last as (RUN, what stands behind the @); any other name as it is, with None."""
    match = _AT.fullmatch(name)
    return (name, None) if match is None or Path(name).exists() else (match["run"], match["at"])


def checkpoint_at(run: Path, at: str) -> Path:
    """The checkpoint of a run at a step, or its best or last one. A ConfigError names those that there are."""
    folder = run / "checkpoints"
    if not folder.is_dir():
        raise ConfigError(f"checkpoint={run}@{at}: {run} is not a run's directory{_near(run)}")
    kept = saved(folder)
    found = {str(step_of(path)): path for path in kept} | dict(zip(["last"], kept[-1:], strict=False))
    best = folder / "best.ckpt"
    found |= {"best": best} if best.is_file() else {}
    key = str(int(at)) if at.isdecimal() else at
    if key not in found:
        raise ConfigError(f"checkpoint={run}@{at}: there is no such checkpoint; {suggestion(key, found)}")
    if not is_whole(found[key]):
        raise ConfigError(f"checkpoint={run}@{at} is damaged: name another one of {', '.join(found)}")
    return found[key]


def _near(path: Path) -> str:
    """The run that was perhaps meant: the one to which the path belongs."""
    above = [parent for parent in list(path.parents)[:3] if is_run(parent)]
    return f"; give checkpoint={above[0]}" if above else ""


def _saved(checkpoint: Path, track: str | None) -> RunWeights:
    """From a run's checkpoint file, whose configuration is in the run directory."""
    file = checkpoint.parent.parent / "config.yaml"
    if not file.exists():
        raise ConfigError(f"checkpoint={checkpoint}: expected the run's configuration at {file}")
    config = _config(file)
    if not is_whole(checkpoint):
        raise ConfigError(f"checkpoint={checkpoint} is damaged: name the run's directory to use the newest whole one")
    saved = read_run(checkpoint)
    weights = model_weights(saved)
    chosen = track or next(iter(weights))
    if chosen not in weights:
        raise ConfigError(f"track={chosen}: {checkpoint} has no such weights; there are {', '.join(weights)}")
    return RunWeights(config, weights[chosen], chosen, checkpoint, saved["global_step"])


def _config(file: Path) -> dict[str, Any]:
    return read_back(read_text(file), file)


def _exported(path: Path, track: str | None) -> RunWeights:
    """From an exported file, whose configuration is in its header."""
    weights, header = read_exported(path)
    if "config" not in header:
        raise ConfigError(f"checkpoint={path}: this file was not exported by difflab, its header has no configuration")
    fields(header, f"{path}: its header", {"track": str, "step": str})
    if not header["step"].isdecimal() or len(header["step"]) > 15:
        raise ConfigError(f"checkpoint={path}: its header gives the step {shown(header['step'])}. Export it again")
    config = read_back(header["config"], path)
    if track not in (None, header["track"]):
        raise ConfigError(f"track={track}: {path} holds the weights {header['track']} alone: leave track out")
    return RunWeights(config, weights, header["track"], path, int(header["step"]))


def built(found: RunWeights) -> Any:
    """The module that a run's configuration describes, with fresh weights. A ConfigError says why it describes none."""
    try:
        module = build(found.config["module"])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"checkpoint={found.file}: no model can be built from its configuration ({error})") from error
    if not isinstance(module, TrainedModule):
        raise ConfigError(
            f"checkpoint={found.file}: its configuration describes {shown(module)} and no model. Get it again"
        )
    return module


def load_weights(model: nn.Module, found: RunWeights) -> None:
    """Puts weights into the model that their run's configuration describes. A ConfigError says what does not fit, or is no number."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    wrong = sorted(
        name
        for name in expected.keys() | found.weights.keys()
        if name not in expected or name not in found.weights or tuple(found.weights[name].shape) != expected[name]
    )
    if wrong:
        raise ConfigError(
            f"checkpoint={found.file} does not hold the weights of the {type(model).__name__} that its configuration describes: "
            f"{len(wrong):,} tensors are missing, left over or of another shape, as {shown(wrong[0])}. Get both from the same run"
        )
    for name, value in found.weights.items():
        if value.is_complex() or (value.is_floating_point() and not value.isfinite().all()):
            raise ConfigError(
                f"checkpoint={found.file}: {shown(name)} holds values that are no numbers: training has diverged, or the file is damaged. "
                "Name an earlier checkpoint"
            )
    model.load_state_dict(found.weights)
    recompute(model)
