"""The group `animate`: films of a model, beside a set of images. `sample.py checkpoint=RUN animate=walk frames=24` writes walk.gif.

walk      from seed to seed, for the same conditions
classes   from condition to condition, for the same seeds
reverse   from noise to image

A film is closed: it passes several keys and comes back to the first one. At a key each image is the sample of a seed, as this model draws
it beside the same others; between two keys it is drawn from what lies between, never mixed of two finished images. Each frame is a whole
walk of the sampler, so that a film costs frames x images of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float64, Int
from PIL import Image
from torch import Tensor

from difflab.noise import NoiseBetween
from difflab.pictures import PANEL, as_image
from difflab.samplers import Recorder, noise_of
from difflab.sampling.drawer import Drawer
from difflab.sampling.job import SamplingJob
from difflab.sampling.strips import decoded, planes
from difflab.sampling.trajectories import check_walks
from difflab.spaces import Space
from difflab.types import Condition, DenoiseFn, Prediction

__all__ = ["Animation", "Classes", "Reverse", "Walk"]

Told = Callable[[int], None]
"""Is told how many images are drawn."""

WIDEST = 640
"""Pixels of a side of a film at most."""


class Animation(ABC):
    """A film of a model.

    Args:
        frames: How many.
        images: In each of them; of points a cloud.

    Attributes:
        closed: Whether the first frame follows upon the last one.
    """

    closed: bool = True

    def __init__(self, frames: int, images: int):
        self.frames = frames
        self.images = images

    @abstractmethod
    def check(self, job: SamplingJob) -> None:
        """Raises a ValueError if there is no such film of a model; one line says why, before anything is drawn."""

    @abstractmethod
    def draw(self, drawer: Drawer, progress: Told) -> Tensor:
        """The frames in the model's own units, [F, N, C, *size].

        Args:
            drawer: That of the job.
            progress: Is told how far it is.
        """

    @property
    def file(self) -> str:
        """walk.gif, of a class Walk."""
        return f"{type(self).__name__.lower()}.gif"

    def seeds(self, job: SamplingJob) -> Int[Tensor, " n"]:
        """Of the images at the first key: those of a set, from its first on."""
        first, count = job.options.first_seed, max(self.images, job.model.space.crowd)
        return torch.arange(first, first + count)


class BetweenKeys(Animation):
    """Base of films that pass keys.

    Args:
        frames: How many.
        images: In each of them; of points a cloud.
        keys: Of a film, each of which is a frame.
    """

    def __init__(self, frames: int, images: int, keys: int):
        super().__init__(frames, images)
        if not 2 <= keys <= frames:
            raise ValueError(f"animate.keys={keys}: at least 2, and at most frames={frames}, since each is a frame")
        self.keys = keys

    @abstractmethod
    def check(self, job: SamplingJob) -> None: ...

    @abstractmethod
    def at(self, drawer: Drawer, seeds: Tensor, key: Tensor, u: Tensor) -> Tensor:
        """Images in the model's own units.

        Args:
            drawer: Draws them.
            seeds: Theirs at the first key, [B].
            key: The number of that which each has passed last, [B].
            u: How far it is from there to the next one, [B] in [0, 1).
        """

    @property
    def places(self) -> tuple[Int[Tensor, " f"], Float64[Tensor, " f"]]:
        """Of each frame the key before it, and how far it is from there to the next one. Every key is a frame."""
        starts = [round(self.frames * key / self.keys) for key in range(self.keys + 1)]
        pairs = [(key, i / (b - a)) for key, (a, b) in enumerate(pairwise(starts)) for i in range(b - a)]
        return torch.tensor([key for key, _ in pairs]), torch.tensor([u for _, u in pairs], dtype=torch.float64)

    def draw(self, drawer: Drawer, progress: Told) -> Tensor:
        seeds, (keys, us) = self.seeds(drawer.job), self.places
        together = max(drawer.job.options.batch_size // len(seeds), 1)
        drawn = []
        for k, u in zip(keys.split(together), us.split(together), strict=True):
            each = (seeds.repeat(len(k)), k.repeat_interleave(len(seeds)), u.repeat_interleave(len(seeds)))
            images = self.at(drawer, *(value.to(drawer.device) for value in each)).cpu()
            drawn.append(images.unflatten(0, (len(k), len(seeds))))
            progress(len(seeds) * sum(map(len, drawn)))
        return torch.cat(drawn)


class Walk(BetweenKeys):
    """From seed to seed for the same conditions, x_T = cos(phi) x_T^a + sin(phi) x_T^b: spherical interpolation (see `NoiseBetween`).

    Samplers that draw noise in their steps have it interpolated as well: with x_T alone an ancestral walk would hardly change. The seed
    next to one is the first further on whose condition is the same where conditions come in turn, as classes do.
    """

    def check(self, job: SamplingJob) -> None:
        pass

    def at(self, drawer: Drawer, seeds: Tensor, key: Tensor, u: Tensor) -> Tensor:
        job = drawer.job
        turn, shape = max(job.conditions.columns, 1), job.model.denoiser.image_shape
        apart = -(-len(self.seeds(job)) // turn) * turn
        cond = conditions_of(job, seeds)
        a, b = (noise_of(shape, seeds + apart * number, cond) for number in (key, (key + 1) % self.keys))
        return drawer.drawn(NoiseBetween(a, b, u), cond, drawer.guided())


class Classes(BetweenKeys):
    """From condition to condition for the same noise: x_0 = (1 - u) E[x_0 | x_t, a] + u E[x_0 | x_t, b] at every step.

    What the guided model says for two conditions is mixed, which asks it twice, and serves any model and any condition: classes, captions,
    images. The condition next to that of seed s is that of s + 1.
    """

    def check(self, job: SamplingJob) -> None:
        if not job.conditions.names:
            raise ValueError(
                "animate=classes: this model is told nothing that could change, neither a class nor anything else; animate=walk goes from "
                "noise to noise"
            )
        if job.before is None:  # what a stage before is to draw is not there yet
            first = self.seeds(job)[:1]
            a, *others = (conditions_of(job, first + key) for key in range(self.keys))
            if all(_same(a, b) for b in others):
                raise ValueError(
                    "animate=classes: all images are drawn for the same condition: name two at least, as classes=[0,1]"
                )

    def at(self, drawer: Drawer, seeds: Tensor, key: Tensor, u: Tensor) -> Tensor:
        job = drawer.job
        a, b = (conditions_of(job, seeds + number) for number in (key, (key + 1) % self.keys))
        denoise = mixed(drawer.guided(), drawer.guided(), b.kept(), u)
        return drawer.drawn(noise_of(job.model.denoiser.image_shape, seeds, a), a, denoise)


class Reverse(Animation):
    """From noise to image: the walk of the sampler itself, at as many of its moments as there are frames."""

    closed = False

    def check(self, job: SamplingJob) -> None:
        check_walks(job, "animate=reverse")

    def draw(self, drawer: Drawer, progress: Told) -> Tensor:
        job = drawer.job
        seeds = self.seeds(job).to(drawer.device)
        cond, recorder = conditions_of(job, seeds), Recorder(len(seeds), self.frames)
        drawer.drawn(noise_of(job.model.denoiser.image_shape, seeds, cond), cond, drawer.guided(), recorder)
        progress(len(seeds))
        return recorder.moments.spread(self.frames).at_unit_scale(job.model.denoiser.schedule)


def conditions_of(job: SamplingJob, seeds: Tensor) -> Condition:
    """For whom the images of these seeds are drawn; beyond the last one of the set it begins again with the first."""
    first = job.options.first_seed
    return job.conditions(first + (seeds - first) % job.count)


def mixed(of_a: DenoiseFn, of_b: DenoiseFn, b: Condition, u: Float64[Tensor, " n"]) -> DenoiseFn:
    """What a model says for two conditions, mixed: a DenoiseFn whose own condition is the first.

    Args:
        of_a: The model, guided or not, as it is asked for the first.
        of_b: The same, for itself: guidances may remember what they were asked.
        b: The second condition.
        u: Weight of the second, [B].
    """

    def lerp(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else torch.lerp(x, y, u.to(x).reshape(-1, *[1] * (x.ndim - 1)))

    def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        for_a, for_b = of_a(x_t, t, cond), of_b(x_t, t, b)
        x_0 = lerp(for_a.x0, for_b.x0)
        assert x_0 is not None
        return Prediction(x_0, lerp(for_a.variance_fraction, for_b.variance_fraction))

    return denoise


def _same(a: Condition, b: Condition) -> bool:
    """Whether two conditions of one image say the same."""
    if set(a) != set(b):
        return False
    pairs = [(value, b[name].tensors[key]) for name, part in a.items() for key, value in part.tensors.items()]
    return all(torch.equal(x, y) for x, y in pairs)


def pictures(space: Space, images: Tensor) -> list[Image.Image]:
    """The frames.

    Args:
        space: In which the images are; it decodes them.
        images: Of all frames, [F, N, C, *size] in the model's units.
    """
    seen = decoded(space, images)
    if space.crowd > 1:
        return planes(seen, PANEL)
    found = [as_image(space.picture(one, 0)) for one in seen]
    for picture in found:
        picture.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    return found
