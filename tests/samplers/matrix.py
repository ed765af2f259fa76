"""Every sampler down every schedule for every parameterization, all as conf/ has them, on a mixture that a network knows exactly."""

from __future__ import annotations

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
from difflab.process import over
from difflab.samplers import Sampler, draw
from difflab.types import Condition

CONF = Path(__file__).parents[2] / "conf"
MIXTURE = GaussianMixture([[-1.0, -0.6], [0.9, -0.5], [0.1, 1.2]], [0.5, 0.3, 0.2], 0.25)
COUNT = 4096

OVERRIDES = {
    "tabulated": {"betas": torch.linspace(1e-3, 0.1, 200).tolist()},  # it has none of its own
    "geometric_ladder": {"steps": 200, "sigma_max": 50.0},  # its ten levels are fewer than the steps
}
ELSEWHERE = {
    "one_pass": "one call, for generators: of a denoiser it gives the mean of the data",
    "binomial_ancestral": "for binary data",
    "annealed_langevin": "of a ladder alone, and from uniform noise: tests/samplers/test_langevin.py",
    "probability_flow": "solves image by image, too slow for so many: tests/samplers/test_probability_flow_ode.py",
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
        return self.distance is not None and self.distance < 0.03 and self.shares < 0.03


class Oracle(Network):
    """Says F, of which the reading is E[x_0 | x_t]. It knows the time from the number that it is told, as a trained network would."""

    in_channels, out_channels, image_size = 2, 2, ()

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Denoiser] = []
        self._known: dict[float, Tensor] = {}

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        alike = bool((time == time[0]).all())
        told = time[:1] if alike else time
        t = self._known.get(float(told[0])) if alike else None
        if t is None:
            t = self._time(told.double())
            if alike:
                self._known[float(told[0])] = t
        (alpha, sigma), c = self.model[0].coefficients(t.expand(len(x)))
        x_t = x / over(c.c_in, x)
        x_0 = MIXTURE.denoise(x_t, alpha, sigma).to(x)
        return (x_0 - over(c.c_skip, x) * x_t) / over(c.c_out, x)

    def _time(self, told: Tensor) -> Tensor:
        """The time, by halves: the number rises or falls with it."""
        low, high = torch.zeros_like(told), torch.full_like(told, 1.5 if self.model[0].schedule.endless else 1.0)
        ends = self._number(torch.tensor([0.4, 0.6], dtype=torch.float64))
        rises = bool(ends[1] > ends[0])
        for _ in range(52):
            middle = (low + high) / 2
            below = (self._number(middle) <= told) == rises
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def _number(self, t: Tensor) -> Tensor:
        number = self.model[0].coefficients(t)[1].c_noise
        return torch.nan_to_num(number, nan=-torch.inf)


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def read(group: str, name: str) -> Any:
    resolvers.add_resolvers()
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(overrides=[f"+{group}={name}"])[group]


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


def sampler_of(name: str) -> Sampler:
    """A sampler of conf/ with 100 steps, of second order and higher with 20."""
    root = OmegaConf.create({"variance": read("variance", "fixed_small")})
    root.sampler = read("sampler", name)
    orders = [root.sampler[part].get("order", 1) for part in ("rule", "orders") if part in root.sampler]
    high = name in HIGH_ORDER or any(order > 1 for order in orders)
    if "grid" in root.sampler and "steps" in root.sampler.grid:
        root.sampler.grid.steps = 20 if high else 100
    if "sigma_min" in root.sampler.get("grid", {}):
        root.sampler.grid.sigma_min = 0.03  # variance_exploding and geometric_ladder have none below 0.02
    return instantiate(root.sampler)


def usable(schedule: str, first: int) -> tuple[str, Denoiser]:
    """A parameterization that can be read along a schedule, looked for from the given one on."""
    known = names("parameterization")
    for k in range(len(known)):
        name = known[(first + k) % len(known)]
        found = model(schedule, name)
        if isinstance(found, Denoiser):
            return name, found
    raise AssertionError(f"{schedule} can be read by no parameterization")


@torch.no_grad()
def cell(denoiser: Denoiser | str, sampler: Sampler, count: int = COUNT) -> Cell:
    if isinstance(denoiser, str):
        return Cell(None, 0.0, denoiser)
    try:
        sampler.check(denoiser.schedule)
    except ValueError as error:
        return Cell(None, 0.0, refusal(error))
    x = draw(denoiser, denoiser.schedule, sampler, MIXTURE.shape, torch.arange(count), Condition()).double()
    if not x.isfinite().all():
        return Cell(torch.nan, 1.0, "")
    nearest = torch.cdist(x, MIXTURE.means).argmin(1).bincount(minlength=3) / count
    return Cell(MIXTURE.frechet_distance(x.mean(0), x.T.cov()), float((nearest - MIXTURE.weights).abs().max()), "")
