"""Given weights put into a model: by patterns of names, tables of classes by their rows; what does not fit is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from difflab.config.groups import ConfigError
from difflab.networks import ClassTable
from difflab.suggest import near_name


@dataclass(frozen=True)
class Source:
    """Weights as they were found.

    Attributes:
        weights: By the names that the model gives them.
        told: Which ones they are, for people.
        classes: How many classes their model tells apart; None where nobody says.
    """

    weights: Mapping[str, Tensor]
    told: str
    classes: int | None = None


@dataclass
class Fit:
    """What became of given weights.

    Attributes:
        told: Which ones they are, and how many tensors of the model they are.
        resized: Tables of classes of which a part of the rows was taken, each with its shapes.
        missing: Weights of the model that are not among those given: the seed draws them.
        unexpected: Those given that the model has not.
        left: Those that are in both and were not to be taken.
    """

    told: str = ""
    resized: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """A line for people on each kind of what did not fit, with its number."""
        kinds = {
            "resized": (self.resized, "the rows of classes that both have were taken"),
            "missing": (self.missing, "as the seed draws them"),
            "unexpected": (self.unexpected, "not used"),
            "left out": (self.left, "as the seed draws them"),
        }
        for kind, (names, what) in kinds.items():
            if names:
                yield f"  {kind:10} {len(names)}, {what}: {shortened(names)}"


def put_into(model: nn.Module, source: Source, name: str, keys: Sequence[str], skip: Sequence[str]) -> Fit:
    """Gives a model weights.

    Args:
        model: Whose weights are changed in place.
        source: The weights.
        name: By which the user knows them.
        keys: Patterns of names that are taken. Of these nothing may be missing, left over or of another shape.
        skip: Patterns of names that are not taken.

    Raises:
        ConfigError: Something does not fit; all of it is listed.
    """
    own, given = model.state_dict(), source.weights
    for pattern in (*keys, *skip):
        if not any(fnmatchcase(one, pattern) for one in (*own, *given)):
            near = near_name(pattern, own)
            hint = f"did you mean {near}?" if near else f"they are called as {next(iter(own))}"
            raise ConfigError(f"init_from: no weight is called {pattern}; {hint}")
    taken, fit = _taken(own, keys, skip), Fit()
    tables = {
        f"{path}.weight".lstrip("."): part for path, part in model.named_modules() if isinstance(part, ClassTable)
    }
    values, misshapen = dict[str, Tensor](), []
    for one in taken:
        if one not in given:
            continue
        values[one] = given[one]
        if one in tables and given[one].shape[1:] == own[one].shape[1:]:
            values[one] = tables[one].resized(given[one], source.classes)
            if given[one].shape != own[one].shape:
                fit.resized.append(f"{one} {tuple(given[one].shape)}, here {tuple(own[one].shape)}")
        if values[one].shape != own[one].shape:
            misshapen.append(f"{one} {tuple(given[one].shape)}, here {tuple(own[one].shape)}")
    missing = [one for one in taken if one not in given]
    left_over = [one for one in _taken(given, keys, skip) if one not in own]
    wrong = [
        *_listed("are missing there", [_with_near(one, left_over) for one in missing]),
        *_listed("are left over", left_over),
        *_listed("have another shape", misshapen),
    ]
    if wrong:
        raise ConfigError(
            f"init_from={name} does not fit this {type(model).__name__}: {'; '.join(wrong)}. 'init_from.skip=[...]' leaves "
            "some out, 'init_from.keys=[...]' takes no others (patterns of names, as network.embedders.*)"
        )
    if bad := next((one for one in taken if not bool(given[one].isfinite().all())), None):
        raise ConfigError(f"init_from={name}: {bad} holds values that are no numbers: name another checkpoint")
    with torch.no_grad():
        for one, value in values.items():
            own[one].copy_(value)
    rest = [one for one in own if one not in values]
    fit.missing = [one for one in rest if one not in given]
    fit.left = [one for one in rest if one in given]
    fit.unexpected = [one for one in given if one not in own]
    fit.told = f"{source.told}, {len(values)} of {len(own)} tensors"
    return fit


def check_weights(weights: Mapping[str, Tensor], network: nn.Module, whose: str, hint: str = "") -> None:
    """Checks that weights of another project, under our names, are those of a network: none missing, left over or of another shape.

    Args:
        weights: As they were renamed; what was not known has the name that it had.
        network: With as many weights, which need not be computed (the meta device will do).
        whose: What they should be, for the message: "a DiT of width 384".
        hint: What to look at, after a semicolon.

    Raises:
        ValueError: They are not.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [
        *(f"{name} is missing, {expected[name]}" for name in expected.keys() - weights.keys()),
        *(f"{name} is left over" for name in weights.keys() - expected.keys()),
        *(
            f"{name} is {tuple(weights[name].shape)}, not {expected[name]}"
            for name in expected.keys() & weights.keys()
            if tuple(weights[name].shape) != expected[name]
        ),
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"the weights are not those of {whose}: {'; '.join(sorted(wrong)[:3])}{more}{hint and f'; {hint}'}"
        )


def _taken(names: Iterable[str], keys: Sequence[str], skip: Sequence[str]) -> list[str]:
    return [
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in keys)
        and not any(fnmatchcase(name, pattern) for pattern in skip)
    ]


def shortened(names: Sequence[str], most: int = 4) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join([*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])])


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{len(names)} {what} ({shortened(names)})"] if names else []


def _with_near(name: str, others: Sequence[str]) -> str:
    near = near_name(name, others)
    return f"{name}; {near} is meant?" if near else name
