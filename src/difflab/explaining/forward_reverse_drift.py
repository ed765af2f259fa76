"""Forward process, reverse process and drift of a model of the plane, at three times (Sohl-Dickstein et al. 2015, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.explaining.drawing import bare, draw_arrows, png_of
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise, Noise
from difflab.pictures import COLOUR_BLIND_SAFE, reach_of
from difflab.process import perturb, posterior_mean
from difflab.samplers import DDPM
from difflab.schedules import Chain, NoiseSchedule
from difflab.types import Condition, DenoiseFn, Label

POINTS, ARROWS = 1500, 15

ROWS = ("forward", "reverse", "drift")


class ForwardReverseDrift(Look):
    """Columns t = 0, T/2 and T. Rows: noised data, points of the reverse chain, and how far its step moves a point on average."""

    name, title = "forward_reverse_drift", "Forward process, reverse process and drift"

    def suits(self, subject: Subject) -> str:
        if subject.shape != (2,):
            return "it is not a model of points of the plane"
        if reason := subject.no_walk or subject.no_data:
            return reason
        steps = len(subject.ddim().chain(subject.schedule))
        return "" if steps > 1 else "a chain of one step has no middle"

    @torch.no_grad()
    def __call__(self, subject: Subject) -> Finding:
        x_0, cond = subject.real(POINTS)
        label = Label.of(cond)
        if label is not None:
            chosen = (label.number == label.number[0]).nonzero()[:, 0]
            x_0, cond = x_0[chosen], cond.select(chosen)
        sampler, schedule = DDPM(subject.grid(), subject.denoiser.variance), subject.schedule
        chain, noise = sampler.chain(schedule), ImageNoise(0, subject.seeds(len(x_0)))
        steps = [0, len(chain) // 2, len(chain)]
        begins = [max(step, 1) for step in steps]  # no step begins at t = 0, and one ends there
        forward = forward_clouds(chain, x_0, steps)
        x_T = sampler.initial_noise(schedule, subject.shape, noise).float()
        reverse = reverse_clouds(sampler, subject.denoise(), schedule, x_T, cond, noise)[steps]
        fields, lengths = [], []
        for step, cloud in zip(begins, forward_clouds(chain, x_0, begins), strict=True):
            places = _grid(cloud)
            one = cond.select(torch.zeros(len(places), dtype=torch.int64, device=places.device))
            fields.append((cloud, places, drift(subject.denoise(), chain, step, places, one)))
            lengths.append(_root_mean_square(drift(subject.denoise(), chain, step, cloud, cond)))
        times = chain.times[steps].tolist()
        rows = [
            [f"{t:.3g}", f"{_spread(data):.3g}", f"{_spread(model):.3g}", f"{length:.2g}"]
            for t, data, model, length in zip(times, forward, reverse, lengths, strict=True)
        ]
        of_class = "" if label is None else f" of class {int(label.number[0])}"
        text = [
            f"Above, {len(x_0):,} {subject.origin}{of_class} as the forward process noises them. Below them, as many points of the reverse "
            f"chain: {len(chain)} ancestral steps of the model, from noise. Arrows are the drift, the mean of the reverse step from x_t "
            "less x_t (Sohl-Dickstein et al. 2015, arXiv 1503.03585, figure 1). In the first column it is that of the last step, from "
            f"t = {float(chain.times[1]):.3g} to 0.",
            "Where the model has learnt the process, both clouds are alike at each time. The table has the root mean square distance of "
            "their points from the centre, and of the forward process's points the root mean square of the drift.",
        ]
        says = "rows of clouds at t = 0, T/2 and T: the noised data, the points of the reverse chain, and arrows of the drift"
        caption = "Each column has axes of its own, and arrows relative to its longest. Grey: the forward process."
        picture = Picture(self.name, _drawn(times, forward, reverse, fields), says, caption)
        return Finding(text, [picture], ("t", *ROWS), rows)


def forward_clouds(chain: Chain, x_0: Float[Tensor, "n 2"], steps: Sequence[int]) -> Float[Tensor, "k n 2"]:
    """x_t = alpha x_0 + sigma eps at these times of a chain, each point with the same eps at all of them."""
    eps = ImageNoise(0, torch.arange(len(x_0), device=x_0.device)).normal("eps", tuple(x_0.shape[1:])).to(x_0)
    return torch.stack([perturb(x_0, eps, chain[torch.full((len(x_0),), step)]) for step in steps])


def reverse_clouds(
    sampler: DDPM, denoise: DenoiseFn, schedule: NoiseSchedule, x_T: Float[Tensor, "n 2"], cond: Condition, noise: Noise
) -> Float[Tensor, "k n 2"]:
    """Where the points of an ancestral chain are at each of its times, those at t = 0 first."""
    steps = sampler.trajectory(denoise, schedule, x_T, cond.kept(), noise)
    return torch.stack([x_T, *(step.x_s for step in steps)]).flip(0)


def drift(
    denoise: DenoiseFn, chain: Chain, step: int, x_t: Float[Tensor, "n 2"], cond: Condition
) -> Float[Tensor, "n 2"]:
    """E[x_s | x_t] - x_t of the step of a chain from t down to s, [N, 2].

    By Tweedie's formula it is (x_t + var_ts score(x_t)) / alpha_ts - x_t of a model that knows the score.

    Args:
        denoise: The denoiser.
        chain: The times.
        step: Number of the step, 1 for the one that ends at t = 0.
        x_t: Where it begins.
        cond: What the points are drawn for.
    """
    time = chain.times[step].expand(len(x_t)).to(x_t.device)
    x_0 = denoise(x_t, time, cond).x0
    return posterior_mean(chain.transition(torch.full((len(x_t),), step)), x_0, x_t) - x_t


def _grid(cloud: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, ARROWS, device=cloud.device) * reach_of(cloud)
    return torch.cartesian_prod(line, line)


def _root_mean_square(vectors: Tensor) -> float:
    return float(vectors.square().sum(1).mean().sqrt())


def _spread(cloud: Tensor) -> float:
    return _root_mean_square(cloud - cloud.mean(0))


def _drawn(
    times: Sequence[float], forward: Tensor, reverse: Tensor, fields: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 6.4), dpi=110, layout="constrained")
    axes: Any = figure.subplots(len(ROWS), len(times))
    for column, (cloud, places, arrows) in enumerate(fields):
        reach = reach_of(forward[column])
        for row, points in enumerate((forward[column], reverse[column])):
            axes[row][column].scatter(*points.cpu().T.tolist(), s=2, color=COLOUR_BLIND_SAFE[row], linewidths=0)
        axes[2][column].scatter(*cloud.cpu().T.tolist(), s=1, color="0.75", linewidths=0)
        longest = max(arrows.norm(dim=1).max().item(), 1e-12)
        draw_arrows(axes[2][column], places, arrows, longest, COLOUR_BLIND_SAFE[2])
        for here in axes[:, column]:
            here.set(xlim=(-reach, reach), ylim=(-reach, reach))
    for here, t, word in zip(axes[0], times, ("t = 0", "T/2", "T"), strict=True):
        here.set_title(word if t == 0 else f"{word}: t = {t:.3g}", fontsize=11)
    for here, word in zip(axes[:, 0], ROWS, strict=True):
        here.set_ylabel(word, fontsize=11)
    bare(axes)
    return png_of(figure)
