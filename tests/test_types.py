"""The vocabulary: conditions and batches."""

from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from difflab.schedules import cosine
from difflab.types import NULL_LABEL, Batch, Condition

LABEL, IMAGE = torch.tensor([4, 0, 2]), torch.arange(12.0).reshape(3, 1, 2, 2)


def test_dropping_takes_the_label_and_leaves_the_task():
    cond = Condition(LABEL, IMAGE)
    assert cond.drop().label.tolist() == [NULL_LABEL] * 3
    assert cond.drop(torch.tensor([True, False, True])).label.tolist() == [NULL_LABEL, 0, NULL_LABEL]
    assert torch.equal(cond.drop().image, IMAGE)
    assert cond.label.tolist() == [4, 0, 2]
    assert Condition().drop() == Condition()


def test_conditions_are_indexed_and_joined_like_tensors():
    cond = Condition(LABEL, IMAGE)
    joined = Condition.cat([cond[:1], cond[1:]])
    assert torch.equal(joined.label, LABEL)
    assert torch.equal(joined.image, IMAGE)
    assert torch.equal(cond[torch.tensor([2, 0])].image, IMAGE[[2, 0]])
    assert Condition.cat([Condition(LABEL), Condition(LABEL)]).image is None
    assert Condition.cat([Condition(), Condition()]) == Condition()


def test_a_batch_moves_as_a_whole():
    batch = Batch(IMAGE, Condition(LABEL), torch.arange(3)).to("meta")
    assert {value.device.type for value in (batch.x0, batch.cond.label, batch.number)} == {"meta"}


@dataclass(frozen=True)
class Captioned(Condition):
    """A condition of another package."""

    caption: Float[Tensor, "b e"] | None = field(default=None, metadata={"null": -2.0})
    pose: Float[Tensor, "b 2"] | None = None


def test_every_operation_keeps_what_a_subclass_declares():
    caption, pose = torch.arange(6.0).reshape(3, 2), torch.arange(6.0).reshape(3, 2) + 1
    cond = Captioned(label=LABEL, caption=caption, pose=pose)
    pinned_as = torch.cuda.is_available()  # else there is no page-locked memory
    for other in (cond[torch.arange(3)], cond.to("cpu"), *([cond.pin_memory()] if pinned_as else [])):
        assert type(other) is Captioned
        assert torch.equal(other.caption, caption)
        assert torch.equal(other.pose, pose)
    joined = Condition.cat([cond[:1], cond[1:].drop(torch.tensor([True, False]))])
    assert type(joined) is Captioned
    assert joined.caption.tolist() == [[0, 1], [-2, -2], [4, 5]]
    assert joined.label.tolist() == [4, NULL_LABEL, 2]
    assert torch.equal(joined.pose, pose)
    assert Batch(IMAGE, cond, torch.arange(3)).to("meta").cond.pose.device.type == "meta"


def test_a_condition_says_whether_there_is_anything_to_drop():
    assert Condition(LABEL).is_droppable
    assert Captioned(caption=IMAGE[:, 0, 0]).is_droppable
    assert not Condition(image=IMAGE).is_droppable
    assert not Captioned(pose=IMAGE[:, 0, 0]).is_droppable


def test_conditions_of_several_kinds_are_not_joined():
    with pytest.raises(ValueError, match="with and without 'label'"):
        Condition.cat([Condition(), Condition(LABEL)])
    with pytest.raises(ValueError, match="different kinds cannot be joined: Captioned, Condition"):
        Condition.cat([Condition(LABEL), Captioned(LABEL)])


def test_shapes_are_checked_in_tests():
    with pytest.raises(TypeCheckError, match="t"):
        cosine(10)(torch.full((2, 1), 0.5, dtype=torch.float64))
