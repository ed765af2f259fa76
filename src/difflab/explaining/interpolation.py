"""Between two seeds: x_T on the arc from one to the other, each walked down without noise (Song et al. 2021, DDIM, figure 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.explaining.drawing import rows_of_images
from difflab.explaining.look import Finding, Look, Picture
from difflab.explaining.subject import Subject
from difflab.process import slerp

PAIRS, PLACES = 5, 9


class Interpolation(Look):
    """A row for each pair of seeds, told for the first one's condition."""

    name, title = "interpolation", "Between two seeds"

    def suits(self, subject: Subject) -> str:
        return subject.no_walk or subject.no_pictures

    def __call__(self, subject: Subject) -> Finding:
        sampler, seeds = subject.ddim(), subject.seeds(2 * PAIRS)
        x_T = subject.start(sampler, seeds)
        between = arc(x_T[0::2], x_T[1::2], PLACES)
        cond = subject.cond(seeds[0::2].repeat_interleave(PLACES))
        images = subject.seen(subject.walk(sampler, between.flatten(0, 1), cond)).unflatten(0, (PAIRS, PLACES))
        above = [f"{k / (PLACES - 1):g}" if k % 2 == 0 else "" for k in range(PLACES)]
        numbers = seeds.tolist()
        beside = [f"{a} to {b}" for a, b in zip(numbers[0::2], numbers[1::2], strict=True)]
        png = rows_of_images([list(row) for row in images], above, beside)
        text = [
            f"x_T of two seeds, and {PLACES - 2} places on the arc between them, which all have the length of "
            f"normal noise; each is "
            f"walked down by DDIM without noise in {len(sampler.chain(subject.schedule))} steps (Song et al. "
            f"2021, arXiv 2010.02502, "
            "figure 6). Where the pictures change little by little, x_T holds what is shown, and near noise means "
            "near images."
        ]
        says = (
            f"{PAIRS} rows of {PLACES} images that change from what the first seed draws to what the second one draws"
        )
        caption = "Beside: the two seeds. Above: how far from the first. A row has the condition of its first seed."
        return Finding(text, [Picture("interpolation", png, says, caption)])


def arc(a: Tensor, b: Tensor, places: int) -> Tensor:
    """[P, places, C, *size] from a to b [P, C, *size], both included."""
    shares = torch.linspace(0, 1, places, dtype=torch.float64).tolist()
    return torch.stack([slerp(a, b, share) for share in shares], dim=1)
