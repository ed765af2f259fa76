"""Where a place of the image looks: self-attention of one query at several times of a walk, over the x_0 that is predicted there."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from difflab.attention import AttentionMaps
from difflab.explaining.drawing import heat, rows_of_images
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise
from difflab.types import Condition

TIMES, LAYERS = (1.0, 0.75, 0.5, 0.25, 0.05), 5


class Seen(NamedTuple):
    """One call of the network.

    Attributes:
        t: Its time.
        x_0: What it predicts, [1, C, *size].
        maps: Place of a layer -> [queries, keys], mean over its heads.
        sizes: Place -> height and width of the queries.
    """

    t: float
    x_0: Tensor
    maps: dict[int, Tensor]
    sizes: dict[int, tuple[int, ...]]


class Attention(Look):
    """A row for each time: the prediction, and the map of each layer."""

    name, title = "attention", "Where a place looks"

    def suits(self, subject: Subject) -> str:
        if reason := subject.no_walk or subject.no_pictures:
            return reason
        sampler, seed = subject.ddim(), subject.seeds(1)
        found = asked(
            subject, subject.start(sampler, seed), float(sampler.chain(subject.schedule).times[-1]), subject.cond(seed)
        )
        return "" if found.maps else "its network has no layer of self-attention"

    @torch.no_grad()
    def __call__(self, subject: Subject) -> Finding:
        sampler, seed = subject.ddim(), subject.seeds(1)
        cond, x_T = subject.cond(seed), subject.start(sampler, seed)
        times = sampler.chain(subject.schedule).times
        wanted = {int((times[1:] - t).abs().argmin()) + 1 for t in TIMES}
        walk = sampler.walk(subject.denoise(), subject.schedule, x_T, cond)
        step, state, found = sampler.steps(walk), walk.start(x_T), []
        noise = ImageNoise(0, seed)
        while state.t > 0:
            if state.step in wanted:
                found.append(asked(subject, state.image, state.t, cond))
            state = step(state, noise)
        final = subject.seen(state.image)[0]
        places = sorted(found[0].maps, key=lambda place: (abs(place), place))[:LAYERS]
        places.sort()
        rows = []
        for one in found:
            picture, cells = subject.seen(one.x_0)[0], []
            for place in places:
                high, wide = size = one.sizes[place]
                row, column = brightest(final, (high, wide))
                weights = one.maps[place][row * wide + column].reshape(size)
                cells.append(heat(picture, weights, (row, column)))
            rows.append([picture, *cells])
        png = rows_of_images(rows, ["x_0", *map(_called, places)], [f"t = {one.t:.2f}" for one in found])
        text = [
            "One sample at several times of its walk. Beside the x_0 that is predicted there: how much the framed "
            "place attends to each place of the image, "
            "mean over the heads of a layer; the brightest (yellow) has the largest weight, which is 1 / number "
            "of places where it looks "
            "nowhere in particular. The framed place is where the finished image differs most from its background."
        ]
        caption = "Layers before the middle of the network, the middle and after it; the framed place asks."
        says = "heat maps of attention over an image, a row for each time and a column for each layer"
        return Finding(text, [Picture("attention", png, says, caption)])


@torch.no_grad()
def asked(subject: Subject, x_t: Tensor, t: float, cond: Condition) -> Seen:
    """The model itself, without guidance, and the maps of its self-attention."""
    maps = AttentionMaps()
    time = torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device)
    x_0 = subject.denoiser(x_t, time, cond.controlled(maps)).x0
    return Seen(t, x_0, {place: calls[-1][0] for place, calls in maps.maps.items()}, maps.sizes)


def brightest(image: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Row and column, of so many, at which an image [C, H, W] differs most from its most frequent grey."""
    grey = image.float().mean(0)
    apart = (grey - grey.flatten().mode().values).abs()
    place = int(F.adaptive_avg_pool2d(apart[None, None], size).flatten().argmax())
    return divmod(place, size[1])


def _called(place: int) -> str:
    return "middle" if place == 0 else f"{'before' if place < 0 else 'after'} {abs(place)}"
