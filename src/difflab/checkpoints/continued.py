"""The whole state of a run taken over by another one: `init_from.state=true`.

Weights, averages, the optimizer's moments and all counts go on. What the configuration says of the optimizer (learning rate, decay ...), of
its schedule, of averages and of the objective holds from the first step on: the schedule's learning rate is that of the step that was
reached. With an unchanged configuration the run is that which was not interrupted, to the bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from difflab.checkpoints.fitting import shortened
from difflab.config.groups import ConfigError
from difflab.runs import RunDirectory
from difflab.runs.continuation import Beginning, carry_over
from difflab.training import TrainedModule
from difflab.training.optimization import Learning


class Continued:
    """Makes a state of another run one of this run.

    Args:
        module: Of this run.
        config: Its resolved configuration, plain.
        before: That of the other run.
        name: By which the user knows the other one, for messages.
    """

    def __init__(self, module: TrainedModule[Any], config: Mapping[str, Any], before: Mapping[str, Any], name: str):
        self.module = module
        self.config = config
        self.before = before
        self.name = name

    def __call__(self, state: dict[str, Any]) -> None:
        """Changes a checkpoint's content. A ConfigError says why it is of no use here."""
        shapes = {name: tuple(value.shape) for name, value in state["state_dict"].items()}
        own = {name: tuple(value.shape) for name, value in self.module.state_dict().items()}
        if wrong := unusable(self.before, self.config, shapes, own):
            raise ConfigError(f"init_from={self.name}: {wrong}")
        self._optimize(state)
        self._average(state)
        if self.before.get("objective") != self.config["objective"]:
            state["callbacks"].pop(type(self.module.objective).__name__, None)  # history of other losses

    def _optimize(self, state: dict[str, Any]) -> None:
        """The optimizer's moments stay with their weights; rates and other options are those of this run."""
        (saved,) = state["optimizer_states"]
        optimization = self.module.configure_optimizers()
        optimizer, schedule = optimization["optimizer"], optimization["lr_scheduler"]["scheduler"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no optimizer step was made before the schedule's
            for _ in range(state["global_step"]):
                schedule.step()
        fresh = optimizer.state_dict()
        known = {id(weight): name for name, weight in self.module.model.named_parameters()}
        mine = [known[id(weight)] for group in optimizer.param_groups for weight in group["params"]]
        numbers = [number for group in saved["param_groups"] for number in group["params"]]
        moments = {name: saved["state"].get(number) for name, number in zip(self._before(mine), numbers, strict=True)}
        order = [number for group in fresh["param_groups"] for number in group["params"]]
        kept = {number: moments.get(name) for number, name in zip(order, mine, strict=True)}
        fresh["state"] = {number: moment for number, moment in kept.items() if moment is not None}
        state["optimizer_states"] = [fresh]
        state["lr_schedulers"] = [schedule.state_dict()]

    def _before(self, mine: list[str]) -> list[str]:
        """The weights in the order of the state, of which other ones may have learned."""
        before, now = _learning(self.before), _learning(self.config)
        if before == now:
            return mine
        model = self.module.model
        return before.ordered(
            n for n, weight in model.named_parameters() if weight.requires_grad or not now.ordered([n])
        )

    def _average(self, state: dict[str, Any]) -> None:
        """An average that the other run has not kept, or not of these weights, begins at its weights."""
        online = {name.partition(".")[2]: value for name, value in state["state_dict"].items()}
        ema, weights = state["callbacks"]["EMACallback"], dict(self.module.model.named_parameters())
        learning = self.module.learning.names(self.module.model)
        shadows = {}
        for track in self.module.ema.tracks.averagings:
            kept = ema["shadows"].get(track, {})
            buffers = {name: value for name, value in kept.items() if name not in weights}
            shadows[track] = {name: kept.get(name, online[name].float()) for name in learning} | buffers
        ema["shadows"] = shadows


def continue_run(
    run: RunDirectory,
    checkpoint: Path,
    module: TrainedModule[Any],
    config: Mapping[str, Any],
    protocols: Mapping[str, Mapping[str, Any]],
    monitor: str,
) -> str:
    """Gives a run the state of another one, as its own, with what was measured on the way there.

    Args:
        run: That begins, locked. It has no checkpoint.
        checkpoint: Of the other run, in its directory.
        module: Of this run.
        config: Its resolved configuration, plain.
        protocols: Score -> fields, as this run will measure it.
        monitor: The score by which best.ckpt is chosen.

    Returns:
        What was done, for people.
    """
    other = RunDirectory(checkpoint.parent.parent)
    before = other.settings()
    beginning = Beginning(other, before["trainer"]["max_steps"], checkpoint)
    if beginning.step > config["trainer"]["max_steps"]:
        raise ConfigError(
            f"init_from={checkpoint}: it is at step {beginning.step}, beyond trainer.max_steps={config['trainer']['max_steps']} of this run"
        )
    carry_over(run, beginning, config, protocols, monitor, Continued(module, config, before, str(checkpoint)))
    new = [track for track in module.ema.tracks.averagings if track not in (before.get("ema") or {})]
    begins = f"; the average {', '.join(new)} begins there" if new else ""
    return f"goes on from the state of {other.path} at step {beginning.step}{begins}"


def unusable(
    before: Mapping[str, Any],
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    own: Mapping[str, tuple[int, ...]],
) -> str:
    """Why a state of one configuration is of no use in another one; "" if it is.

    Args:
        before: The configuration of the state, plain.
        config: That of the run that would go on from it.
        shapes: Name -> shape of the state's weights.
        own: Name -> shape of the run's weights.
    """
    if differing := sorted(name for name in shapes.keys() | own.keys() if shapes.get(name) != own.get(name)):
        first = differing[0]
        keys = list(dict.fromkeys(_differing(before.get("module", {}), config["module"], "")))
        named = f"{shortened(keys)} make{'s' * (len(keys) == 1)} it another model" if keys else "it is another model"
        return (
            f"{named}, which a whole state does not fit ({len(differing)} weights differ, as {first} {shapes.get(first, 'none')}, here "
            f"{own.get(first, 'none')}): leave that as it was, or take weights alone, without init_from.state"
        )
    if before.get("optimizer", {}).get("_target_") != config["optimizer"]["_target_"]:
        return (
            f"optimizer={config['optimizer']['_target_']} knows no moments of {before.get('optimizer', {}).get('_target_')}: keep the "
            "optimizer, or take weights alone, without init_from.state"
        )
    return ""


def _differing(before: Any, now: Any, path: str) -> Iterator[str]:
    """Keys of the model in which two configurations of a module differ, as they are typed."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in (*now, *(key for key in before if key not in now)):
            if path or key not in ("optimizer", "lr_schedule", "ema", "sampler", "guidance", "seed", "compute"):
                yield from _differing(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif before != now:
        head, _, rest = path.partition(".")
        yield f"{rest or head}={now}"


def _learning(config: Mapping[str, Any]) -> Learning:
    return Learning(config.get("trainable") or (), config.get("lr_scale") or {})
