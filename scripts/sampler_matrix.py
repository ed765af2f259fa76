"""Every sampler down every schedule for every parameterization, all as conf/ has them, for the table of docs/samplers.md.

An image is 1,024 points in the plane, each drawn from a mixture of three Gaussians that the network knows exactly. The samplers take
100 steps, of second order and higher 20. Measured are the squared Frechet distance of 4,096 points to the mixture, and the largest
difference of a component's share from its weight. A combination is right where both are below 0.03, or it is refused before anything is
drawn.

python -m scripts.sampler_matrix      draws them all, about a quarter of an hour, and keeps what the table says in sampler_matrix.csv
"""

from __future__ import annotations

import csv
import re
import string
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from difflab.config import derived as resolvers
from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.process import over
from difflab.samplers import Sampler, draw_from
from difflab.types import AlphaSigma, Condition, Preconditioning

CONF = Path(__file__).parents[1] / "conf"
RECORD = Path(__file__).with_suffix(".csv")
MIXTURE = GaussianMixture([[-1.0, -0.6], [0.9, -0.5], [0.1, 1.2]], [0.5, 0.3, 0.2], 0.25)
POINTS, COUNT = 1024, 4
"""Points of an image, and images."""

BOUND = 0.03
"""Of the distance and of the shares."""

SECTIONS = 256
"""Into which a time is narrowed down at once: seven times are 2^56."""

OVERRIDES = {
    "tabulated": {"betas": torch.linspace(1e-3, 0.1, 200).tolist()},  # it has none of its own
    "geometric_ladder": {"steps": 200, "sigma_max": 50.0},  # its ten levels are fewer than the steps
}
TYPED = {
    "dpm_solver_pp_sde": ("sampler/grid=karras",),
    "annealed_langevin": ("sampler.step_size=0.3", "sampler.repeats=10"),
}
"""What is typed besides the sampler, where its defaults are for more steps than there are here."""

ELSEWHERE = {
    "one_pass": "one call, for generators: of a denoiser it gives the mean of the data",
    "binomial_ancestral": "for binary data",
}
"""Samplers that are not measured here, and why."""

HIGH_ORDER = {"heun", "pndm", "plms"}
"""Samplers of second order or higher whose file names no order."""


class Cell(NamedTuple):
    """What came out of one combination.

    Attributes:
        distance: The squared Frechet distance to the mixture; None where it was refused.
        shares: The largest difference between a component's share and its weight.
        refusal: Why it was refused.
    """

    distance: float | None
    shares: float
    refusal: str

    @property
    def is_right(self) -> bool:
        return self.distance is not None and self.distance < BOUND and self.shares < BOUND

    @property
    def word(self) -> str:
        """It on the page, alike on all processors: the next bound above the distance, the numbers of a miss, nothing of a refusal."""
        if self.distance is None:
            return ""
        if not self.is_right:
            return f"{self.distance:.2f}, shares {self.shares:.2f}"
        return f"< {next(bound for bound in (0.01, BOUND) if self.distance < bound):g}"


class Oracle(Network):
    """Says F, of which the reading is E[x_0 | x_t]. It knows the time from the number that it is told, as a trained network would."""

    in_channels, out_channels, image_size = 2, 2, (POINTS,)

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Denoiser] = []
        self._known: dict[float, tuple[AlphaSigma, Preconditioning]] = {}

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        (alpha, sigma), c = self._read(time)
        x_t = x / over(c.c_in, x)
        points = x_t.movedim(1, 2).reshape(-1, 2)
        of_points = (v if len(v) == 1 else v.repeat_interleave(POINTS) for v in (alpha, sigma))
        x_0 = MIXTURE.denoise(points, *of_points).to(x).reshape(-1, POINTS, 2).movedim(2, 1)
        return (x_0 - over(c.c_skip, x) * x_t) / over(c.c_out, x)

    def _read(self, time: Tensor) -> tuple[AlphaSigma, Preconditioning]:
        """The coefficients, of one time for images that are all at the same."""
        if not bool((time == time[0]).all()):
            return self.model[0].coefficients(self._time(time.double()))
        told = float(time[0])
        if told not in self._known:
            self._known[told] = self.model[0].coefficients(self._time(time[:1].double()))
        return self._known[told]

    def _time(self, told: Tensor) -> Tensor:
        """The time, by parts of parts: the number rises or falls with it."""
        low, width = torch.zeros_like(told), 1.5 if self.model[0].schedule.endless else 1.0
        ends = self._number(torch.tensor([0.4, 0.6], dtype=torch.float64))
        rises, parts = bool(ends[1] > ends[0]), torch.arange(1, SECTIONS, dtype=torch.float64) / SECTIONS
        for _ in range(7):
            t = low[:, None] + width * parts
            below = (self._number(t.flatten()).reshape(t.shape) <= told[:, None]) == rises
            width /= SECTIONS
            low = low + below.sum(1) * width
        return low

    def _number(self, t: Tensor) -> Tensor:
        number = self.model[0].coefficients(t)[1].c_noise
        return torch.nan_to_num(number, nan=-torch.inf)


class Remembered(ImageNoise):
    """Noise that is made once: every combination draws from the same seeds."""

    def __init__(self, seed: int, number: Tensor):
        super().__init__(seed, number)
        self._made: dict[tuple[str, tuple[int, ...], int], Tensor] = {}

    def normal(self, purpose: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        key = purpose, shape, step
        if key not in self._made:
            self._made[key] = super().normal(purpose, shape, step)
        return self._made[key]


NOISE = Remembered(0, torch.arange(COUNT))


def names(group: str) -> list[str]:
    """The choices of a group of conf/."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


SAMPLERS = [name for name in names("sampler") if name not in ELSEWHERE]


@cache
def read(group: str, name: str, *overrides: str) -> Any:
    """A choice as conf/ has it."""
    file = OmegaConf.load(CONF / group / f"{name}.yaml")
    if "defaults" not in file:
        return file
    resolvers.add_resolvers()
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(overrides=[f"+{group}={name}", *overrides])[group]


def model(schedule: str, parameterization: str) -> Denoiser | str:
    """The denoiser, or why there is none."""
    root = OmegaConf.create({"data": {"image_size": 8}})
    root.schedule = OmegaConf.merge(read("schedule", schedule), OVERRIDES.get(schedule, {}))
    root.parameterization = read("parameterization", parameterization)
    root.variance = read("variance", "fixed_small")
    network = Oracle()
    try:
        parts = [instantiate(root[name]) for name in ("schedule", "parameterization", "variance")]
        denoiser = Denoiser(network, *parts)
    except Exception as error:
        return refusal(error)
    network.model.append(denoiser)
    return denoiser


def refusal(error: Exception) -> str:
    """The line of a refusal; any other error is raised."""
    while error.__cause__ is not None and not isinstance(error, ValueError):
        error = error.__cause__  # Hydra's, of what a constructor said
    if not isinstance(error, ValueError):
        raise error
    line = str(error)
    assert "\n" not in line.strip(), line
    return line


@cache
def sampler_of(name: str) -> Sampler:
    """A sampler of conf/ with 100 steps, of second order and higher with 20."""
    root = OmegaConf.create({"variance": read("variance", "fixed_small")})
    root.sampler = read("sampler", name, *TYPED.get(name, ()))
    orders = [root.sampler[part].get("order", 1) for part in ("rule", "orders") if part in root.sampler]
    high = name in HIGH_ORDER or any(order > 1 for order in orders)
    if "grid" in root.sampler and "steps" in root.sampler.grid:
        root.sampler.grid.steps = 20 if high else 100
    if "sigma_min" in root.sampler.get("grid", {}):
        root.sampler.grid.sigma_min = 0.03  # variance_exploding and geometric_ladder have none below 0.02
    return instantiate(root.sampler)


def refused(denoiser: Denoiser, sampler: Sampler) -> str:
    """Why a sampler does not walk down a model's schedule; nothing where it does."""
    try:
        sampler.check(denoiser.schedule, denoiser.process, denoiser.image_shape)
    except ValueError as error:
        return refusal(error)
    return ""


@torch.no_grad()
def cell(denoiser: Denoiser | str, sampler: Sampler) -> Cell:
    """Draws one combination, if it is not refused."""
    if isinstance(denoiser, str):
        return Cell(None, 0.0, denoiser)
    if line := refused(denoiser, sampler):
        return Cell(None, 0.0, line)
    images = draw_from(NOISE, denoiser, denoiser.schedule, sampler, denoiser.image_shape, Condition()).double()
    if not images.isfinite().all():
        return Cell(torch.nan, 1.0, "")
    x = images.movedim(1, 2).reshape(-1, 2)
    nearest = torch.cdist(x, MIXTURE.means).argmin(1).bincount(minlength=3) / len(x)
    return Cell(MIXTURE.frechet_distance(x.mean(0), x.T.cov()), float((nearest - MIXTURE.weights).abs().max()), "")


def drawn(schedule: str) -> dict[str, Cell]:
    """Sampler -> the largest numbers of its cells down a schedule, over all parameterizations with which it can be read."""
    found = {}
    for name in SAMPLERS:
        sampler = sampler_of(name)
        cells = [cell(one, sampler) for one in models(schedule).values() if isinstance(one, Denoiser)]
        (line,) = {one.refusal for one in cells}  # no sampler asks how a network is read
        distances = [
            torch.inf if one.distance is None or one.distance != one.distance else one.distance for one in cells
        ]
        found[name] = Cell(None if line else max(distances), max(one.shares for one in cells), line)
    return found


@cache
def models(schedule: str) -> dict[str, Denoiser | str]:
    """Parameterization -> the denoiser, or why there is none."""
    return {name: model(schedule, name) for name in names("parameterization")}


def recorded() -> dict[str, dict[str, str]]:
    """Schedule -> sampler -> what the last drawing of all of them said; what was refused is empty."""
    with RECORD.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {schedule: {row["sampler"]: row[schedule] for row in rows} for schedule in rows[0] if schedule != "sampler"}


def record(words: dict[str, dict[str, str]]) -> None:
    """Keeps schedule -> sampler -> word."""
    with RECORD.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["sampler", *words])
        table.writerows([name, *(column[name] for column in words.values())] for name in SAMPLERS)


@cache
def refusals(schedule: str) -> dict[str, str]:
    """Sampler -> why it does not walk down a schedule; nothing where it does."""
    denoiser = next(one for one in models(schedule).values() if isinstance(one, Denoiser))
    return {name: refused(denoiser, sampler_of(name)) for name in SAMPLERS}


def table() -> str:
    """All combinations as they stand on the page: tables of steps, schedules of continuous time, and what is refused."""
    known, letters = recorded(), Letters()
    in_steps = {
        name: next(m for m in models(name).values() if isinstance(m, Denoiser)).schedule.steps for name in known
    }
    parts = []
    for columns in ([n for n in known if in_steps[n]], [n for n in known if not in_steps[n]]):
        lines = [f"| `sampler=` | {' | '.join(f'`{name}`' for name in columns)} |", "|---" * (1 + len(columns)) + "|"]
        for sampler in SAMPLERS:
            cells = []
            for name in columns:
                line, word = refusals(name)[sampler], known[name].get(sampler, "")
                if bool(line) == bool(word):
                    raise ValueError(f"{sampler} down {name} was not drawn: run python -m scripts.sampler_matrix")
                cells.append(letters(name, line) if line else word)
            lines.append(f"| `{sampler}` | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    legend = [f"- **{letter}**: {line}." for letter, line in letters.lines.items()]
    return "\n\n".join([*parts, "\n".join(legend), unread()])


def unread() -> str:
    """Which parameterizations cannot be read along which schedules."""
    found: dict[str, tuple[str, list[str]]] = {}
    for parameterization in names("parameterization"):
        for schedule in names("schedule"):
            if isinstance(line := models(schedule)[parameterization], str):
                found.setdefault(kind_of(f"{parameterization}: {line}"), (line, []))[1].append(schedule)
    rows = [
        f"| `{key.partition(':')[0]}` | {', '.join(f'`{name}`' for name in schedules)} | {line} |"
        for key, (line, schedules) in found.items()
    ]
    return "\n".join(["| `parameterization=` | refused for `schedule=` | |", "|---|---|---|", *rows])


class Letters:
    """A letter for each kind of refusal.

    Attributes:
        lines: Letter -> the first line of the kind.
    """

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self._letters: dict[str, str] = {}

    def __call__(self, schedule: str, line: str) -> str:
        letter = self._letters.setdefault(kind_of(line), string.ascii_lowercase[len(self._letters)])
        self.lines.setdefault(letter, f"`schedule={schedule}`: {line}")
        return letter


def kind_of(line: str) -> str:
    """A refusal without the names of classes and the numbers that are its schedule's."""
    return re.sub(r"\b[A-Z]\w+ (is|has)|\d[\d.e+-]*", "", line)


def main() -> None:
    """Draws all combinations, prints them, and keeps them."""
    words = {}
    for schedule in names("schedule"):
        found = drawn(schedule)
        for name, one in found.items():
            print(f"{schedule:25} {name:30} {one.refusal or one}", flush=True)
        words[schedule] = {name: one.word for name, one in found.items()}
    record(words)


if __name__ == "__main__":
    main()
