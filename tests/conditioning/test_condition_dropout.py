"""Which parts of a condition are dropped in training, and what guidance may ask for afterwards."""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.conditioning import ConditionDropout
from difflab.guidance import ClassifierFree, Guidance
from difflab.noise import ImageNoise
from difflab.training.callbacks import GuidanceCallback
from difflab.types import NULL_LABEL, Condition, DroppablePart, GivenImage, Label
from tiny import tiny_denoiser

COUNT = 20_000


@dataclass(frozen=True)
class Caption(DroppablePart):
    """A part of another package."""

    vector: Float[Tensor, "b e"]

    def null(self) -> "Caption":
        return Caption(torch.zeros_like(self.vector))

    def instead(self, value: object) -> "Caption":
        return Caption(torch.full_like(self.vector, value))  # type: ignore[arg-type]


def told(count: int = COUNT) -> Condition:
    return Condition(label=Label(torch.ones(count, dtype=torch.int64)), text=Caption(torch.ones(count, 2)))


def dropped(dropout: ConditionDropout, number: Tensor) -> tuple[Tensor, Tensor]:
    """Of which examples label and text were dropped."""
    cond = dropout(told(len(number)), ImageNoise(7, number))
    return Label.of(cond).number == NULL_LABEL, Caption.of(cond).vector[:, 0] == 0


def test_one_number_drops_all_parts_together_and_as_ever():
    number = torch.arange(COUNT)
    label, text = dropped(ConditionDropout(0.3), number)
    assert torch.equal(label, text)
    assert torch.equal(label, ImageNoise(7, number).uniform("condition dropout") < 0.3)
    assert torch.equal(label, dropped(ConditionDropout({"all": 0.3}), number)[0])
    assert not any(column.any() for column in dropped(ConditionDropout(0.0), number))


def test_each_part_is_dropped_by_itself_and_all_together_besides():
    """InstructPix2Pix's scheme; within four standard deviations."""
    label, text = dropped(ConditionDropout({"label": 0.1, "text": 0.3, "all": 0.05}), torch.arange(COUNT))
    expected = {
        "label alone": (label & ~text, 0.95 * 0.1 * 0.7),
        "text alone": (~label & text, 0.95 * 0.9 * 0.3),
        "both": (label & text, 0.05 + 0.95 * 0.03),
    }
    for name, (found, share) in expected.items():
        assert abs(found.double().mean() - share) < 4 * (share * (1 - share) / COUNT) ** 0.5, name
    only, none = dropped(ConditionDropout({"label": 0.5}), torch.arange(100))
    assert only.any()
    assert not none.any()


def test_what_is_dropped_is_known_by_the_examples_number_and_the_parts_name():
    both, alone = ConditionDropout({"label": 0.2, "text": 0.5}), ConditionDropout({"text": 0.5})
    whole, number = dropped(both, torch.arange(64)), torch.tensor([63, 5, 40])
    assert all(torch.equal(one, of_all[number]) for one, of_all in zip(dropped(both, number), whole, strict=True))
    assert torch.equal(dropped(alone, torch.arange(64))[1], whole[1])
    assert not torch.equal(whole[0], dropped(ConditionDropout({"label": 0.5}), torch.arange(64))[1])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (1.5, "condition_dropout = 1.5 is not a probability"),
        ({"text": -0.1}, "condition_dropout.text = -0.1 is not a probability"),
        ({"label": True}, "condition_dropout.label = True is not a probability"),
        ({"txet": 0.1}, "condition_dropout.txet: the model is told label, text, image, and no txet"),
        ({"image": 0.1}, "condition_dropout.image: image says what the task is.*can is label, text"),
    ],
)
def test_what_cannot_be_dropped_is_refused(chosen, message):
    cond = told(2).having(image=GivenImage(torch.zeros(2, 1, 4, 4)))
    with pytest.raises(ValueError, match=message):
        ConditionDropout(chosen)(cond, ImageNoise(0, torch.arange(2)))


GUIDANCES = {
    "all": ClassifierFree(2.0),
    "label": ClassifierFree({"label": 2.0}),
    "text": ClassifierFree({"text": 2.0}),
    "text, then label": ClassifierFree({"text": 3.0, "label": 2.0}),
    "both at once": ClassifierFree({"text": 3.0, "label": 3.0}),
    "text, and another class": ClassifierFree(2.0, {"label": 0}),
    "another class and text": ClassifierFree(2.0, {"label": 0, "text": 0.5}),
}
TAUGHT = [
    (0.1, {"all", "both at once"}),
    ({"all": 0.1}, {"all", "both at once"}),
    ({"label": 0.1}, {"label"}),
    ({"text": 0.1}, {"text", "text, and another class"}),
    ({"label": 0.1, "text": 0.1}, set(GUIDANCES)),
    ({"text": 0.1, "all": 0.1}, set(GUIDANCES) - {"label"}),
    ({"text": 1.0, "label": 0.1}, set(GUIDANCES) - {"label"}),
]


@pytest.mark.parametrize(("chosen", "possible"), TAUGHT)
def test_guidance_asks_whether_what_it_leaves_out_was_dropped(chosen, possible):
    """What is given in place of a part need not have been dropped."""
    denoiser, found = tiny_denoiser(), {"another class and text"}

    def check(guidance: Guidance) -> None:
        GuidanceCallback({"this": guidance}).check_condition(denoiser, lambda: told(1), ConditionDropout(chosen))

    for name, guidance in GUIDANCES.items():
        if name in possible | found:
            check(guidance)
        else:
            with pytest.raises(
                ValueError, match=r"'this' asks .* without .*condition_dropout=\{label: 0.1, text: 0.1\}"
            ):
                check(guidance)
