"""The vocabulary: conditions and batches."""

import torch

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
