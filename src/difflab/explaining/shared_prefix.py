"""Images that share the beginning of their chain and part at x_t (Ho et al. 2020, figure 7): what is decided when."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.explaining.drawing import rows_of_images
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.noise import ImageNoise
from difflab.samplers import DDPM
from difflab.schedules import NoiseSchedule
from difflab.types import Condition, DenoiseFn

TIMES, VARIATIONS, STEPS = (1.0, 0.75, 0.5, 0.25), 7, 100


class SharedPrefix(Look):
    """A row for each time at which the chains part: x_t, and what becomes of it."""

    name, title = "shared_prefix", "One beginning, several ends"

    def suits(self, subject: Subject) -> str:
        return subject.no_walk or subject.no_pictures

    def __call__(self, subject: Subject) -> Finding:
        steps = min(STEPS, subject.schedule.steps or STEPS)
        sampler = DDPM(subject.grid(steps), subject.denoiser.variance)
        seed = subject.seeds(1)
        noise = ImageNoise(0, seed)
        x_T = sampler.initial_noise(subject.schedule, subject.shape, noise).float()
        rows, beside = [], []
        for t in TIMES:
            cond = subject.cond(seed.repeat(VARIATIONS))
            reached, x_t, images = parted(
                sampler, subject.denoise(), subject.schedule, x_T, (subject.cond(seed), cond), seed, t, VARIATIONS
            )
            rows.append([*subject.seen(_shown(x_t, subject, reached)), *subject.seen(images)])
            beside.append(f"t = {reached:.2f}")
        png = rows_of_images(rows, ["x_t", *[""] * VARIATIONS], beside)
        text = [
            f"One chain of {steps} ancestral steps is walked down to a time t. From the x_t that it reaches, "
            f"{VARIATIONS} chains go on with noise "
            "of their own (Ho et al. 2020, arXiv 2006.11239, figure 7). What the images of a row have in common "
            "was decided before t, and "
            "what they differ in after it."
        ]
        says = "rows of images that begin alike: the later the chains part, the more they look the same"
        caption = "Left: x_t, divided by its own deviation. Beside it what becomes of it. From top to bottom the chains part later."
        return Finding(text, [Picture("shared_prefix", png, says, caption)])


@torch.no_grad()
def parted(
    sampler: DDPM,
    denoise: DenoiseFn,
    schedule: NoiseSchedule,
    x_T: Tensor,
    conds: tuple[Condition, Condition],
    seed: Tensor,
    t: float,
    variations: int,
) -> tuple[float, Tensor, Tensor]:
    """Where the chains part and what they become.

    Args:
        sampler: Ancestral.
        denoise: How the model is asked.
        schedule: The model's.
        x_T: [1, C, *size].
        conds: Of the one chain, and of all that part from it.
        seed: [1], of the noise that they share.
        t: They part at the first time of the chain that is not above it.
        variations: How many.

    Returns:
        The time, x_t [1, C, *size] and the images [variations, C, *size].
    """
    alone = sampler.walk(denoise, schedule, x_T, conds[0])
    step, state, shared = sampler.steps(alone), alone.start(x_T), ImageNoise(0, seed)
    while state.t > t + 1e-9 and state.step > 1:
        state = step(state, shared)
    x_t, reached = state.image, state.t
    many = x_t.expand(variations, *x_t.shape[1:]).clone()
    together = sampler.walk(denoise, schedule, many, conds[1])
    step, own = sampler.steps(together), ImageNoise(1, torch.arange(variations, device=x_T.device))
    state = together.start(many, state.step)
    while state.t > 0:
        state = step(state, own)
    return reached, x_t, state.image


def _shown(x_t: Tensor, subject: Subject, t: float) -> Tensor:
    """With the deviation of data, so that schedules without a bound are shown in the same grey levels."""
    alpha, sigma = subject.schedule(torch.tensor([t], dtype=torch.float64))
    return x_t / float(torch.hypot(alpha, sigma))
