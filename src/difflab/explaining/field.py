"""The score field of a model of the plane and the ways along it, beside the exact ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.explaining.drawing import bare, draw_arrows, png_of
from difflab.explaining.exact import exact_denoiser
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise
from difflab.pictures import COLOUR_BLIND_SAFE, reach_of
from difflab.process import score_from_x0
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn, Label

TIMES, ARROWS, WAYS, POINTS = (0.1, 0.3, 0.6), 15, 40, 1500


class Ways(NamedTuple):
    """Where walks have been, [steps + 1, N, 2], and how far apart two of them end."""

    learned: Tensor
    exact: Tensor


class Field(Look):
    """Above the model's, below the exact one: arrows at several times, and walks from the same x_T."""

    name, title = "field", "Score field and walks"

    def suits(self, subject: Subject) -> str:
        if subject.shape != (2,):
            return "it is not a model of points of the plane"
        return subject.no_walk or subject.no_data

    @torch.no_grad()
    def __call__(self, subject: Subject) -> Finding:
        exact = exact_denoiser(subject.trained, subject.schedule)
        seeds = subject.seeds(WAYS)
        label = Label.of(subject.cond(seeds[:1]))
        one = subject.cond(seeds[:1])
        ways = Ways(*(walked(subject, denoise, seeds, one) for denoise in (subject.denoiser, exact.denoise)))
        apart = (ways.learned[-1] - ways.exact[-1]).norm(dim=1).median().item()
        png = _drawn(subject, (subject.denoiser, exact.denoise), one, ways)
        of_class = "" if label is None else f" of class {int(label.number[0])}"
        text = [
            f"Arrows are the score{of_class}, the direction in which x_t becomes more probable: above as the "
            f"model has learnt it, below exactly, of {exact.of}. Each "
            "column has arrows of its own length. On the right, walks of DDIM without noise along both fields "
            "from the same x_T; half of them "
            f"end within {apart:.2g} of each other."
        ]
        says = "two rows of arrows over the data and of curved ways from noise to data: learned above, exact below"
        caption = "Grey: x_t of the data at that time, on the right the data. Dots: where the walks end."
        return Finding(text, [Picture("field", png, says, caption)])


@torch.no_grad()
def walked(subject: Subject, denoise: DenoiseFn, seeds: Tensor, one: Condition) -> Tensor:
    """Where walks from the x_T of these seeds have been, the first place x_T: [steps + 1, N, 2]."""
    sampler = subject.ddim()
    x_T = subject.start(sampler, seeds)
    cond = one.select(torch.zeros(len(seeds), dtype=torch.int64, device=seeds.device))
    steps = sampler.trajectory(denoise, subject.schedule, x_T, cond, ImageNoise(0, seeds))
    return torch.stack([x_T, *(step.x_s for step in steps)]).cpu()


def scores(denoise: DenoiseFn, schedule: NoiseSchedule, places: Tensor, t: float, one: Condition) -> Tensor:
    """Score at places [N, C] and a time, [N, C]."""
    time = torch.full((len(places),), t, dtype=torch.float64, device=places.device)
    cond = one.select(torch.zeros(len(places), dtype=torch.int64, device=places.device))
    return score_from_x0(places, denoise(places, time, cond).x0, schedule(time))


def _drawn(subject: Subject, both: tuple[DenoiseFn, DenoiseFn], one: Condition, ways: Ways) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.4), dpi=130, layout="constrained")
    axes: Any = figure.subplots(2, len(TIMES) + 1)
    count = min(POINTS, len(subject.trained))
    label = Label.of(one)
    points = subject.trained.images(range(count)).to(subject.device)
    labels = subject.trained.labels
    if label is not None and labels is not None:
        points = points[(labels[:count] == int(label.number[0])).to(points.device)]
    eps = ImageNoise(0, torch.arange(len(points), device=subject.device)).normal("eps", (2,)).float()
    colours = COLOUR_BLIND_SAFE[0], COLOUR_BLIND_SAFE[1]
    for column, t in enumerate(TIMES):
        alpha, sigma = (float(level) for level in subject.schedule(torch.tensor([t], dtype=torch.float64)))
        cloud = alpha * points + sigma * eps
        line = torch.linspace(-1, 1, ARROWS, device=subject.device) * reach_of(cloud)
        places = torch.cartesian_prod(line, line)
        fields = [scores(denoise, subject.schedule, places, t, one).cpu() for denoise in both]
        longest = max(fields[1].norm(dim=1).max().item(), 1e-12)
        for row, field in enumerate(fields):
            axes[row][column].scatter(*cloud.cpu().T.tolist(), s=1, color="0.75", linewidths=0, rasterized=True)
            draw_arrows(axes[row][column], places, field, longest, colours[row])
        axes[0][column].set_title(f"t = {t:g}", fontsize=11)
    for row, paths in enumerate(ways):
        here = axes[row][-1]
        here.scatter(*points.cpu().T.tolist(), s=1, color="0.75", linewidths=0, rasterized=True)
        for path in paths.unbind(1):
            here.plot(*path.T.tolist(), color=colours[row], linewidth=0.7, alpha=0.7)
        here.scatter(*paths[-1].T.tolist(), s=9, color="black", zorder=3)
    axes[0][-1].set_title("walks", fontsize=11)
    for row, word in enumerate(("learned", "exact")):
        axes[row][0].set_ylabel(word, fontsize=11)
    bare(axes)
    return png_of(figure)
