"""The vocabulary: conditions and batches."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Bool, Float, Int, TypeCheckError
from torch import Tensor, nn

from difflab.schedules import cosine
from difflab.types import NULL_LABEL, Batch, Condition, ConditionPart, DroppablePart, Embedding, GivenImage, Label

LABEL, IMAGE = torch.tensor([4, 0, 2]), torch.arange(12.0).reshape(3, 1, 2, 2)


@dataclass(frozen=True)
class Caption(DroppablePart):
    """A part of another package: tokens of texts of different lengths, and the vocabulary that they are of."""

    tokens: Int[Tensor, "b n"]
    mask: Bool[Tensor, "b n"]
    vocabulary: str = "words"

    def null(self) -> "Caption":
        return Caption(torch.zeros_like(self.tokens), torch.zeros_like(self.mask), self.vocabulary)

    def instead(self, value: object) -> "Caption":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        row = torch.tensor([ord(letter) for letter in value], device=self.tokens.device)
        tokens = row.expand(len(self.tokens), -1)
        return Caption(tokens, torch.ones_like(tokens, dtype=torch.bool), self.vocabulary)


@dataclass(frozen=True)
class Pose(ConditionPart):
    """A part of another package that cannot be dropped."""

    angle: Float[Tensor, "b 2"]


def caption(*rows: Sequence[int]) -> Caption:
    tokens = torch.tensor(rows)
    return Caption(tokens, tokens > 0)


def everything() -> Condition:
    return Condition(
        label=Label(LABEL), image=GivenImage(IMAGE), text=caption([1, 2], [3, 0], [5, 6]), pose=Pose(IMAGE[:, 0, 0])
    )


def numbers(cond: Condition) -> dict[str, list]:
    return {f"{name}.{field}": value.tolist() for name, part in cond.items() for field, value in part.tensors.items()}


def test_the_null_condition_has_no_label_and_still_the_task():
    cond = everything()
    assert Label.of(cond.null()).number.tolist() == [NULL_LABEL] * 3
    assert Caption.of(cond.null()).tokens.tolist() == [[0, 0]] * 3
    assert torch.equal(GivenImage.of(cond.null()).values, IMAGE)
    assert Label.of(cond).number.tolist() == [4, 0, 2]
    assert not Condition().null()


def test_some_examples_are_dropped_and_some_parts():
    cond, mask = everything(), torch.tensor([True, False, True])
    dropped = cond.drop(mask)
    assert Label.of(dropped).number.tolist() == [NULL_LABEL, 0, NULL_LABEL]
    assert Caption.of(dropped).tokens.tolist() == [[0, 0], [3, 0], [0, 0]]
    assert torch.equal(Pose.of(dropped).angle, Pose.of(cond).angle)
    assert Caption.of(dropped).vocabulary == "words"
    assert Label.of(cond.drop(mask, ["text"])).number.tolist() == [4, 0, 2]
    assert Caption.of(cond.null(["label"])).tokens.tolist() == Caption.of(cond).tokens.tolist()


def test_the_null_condition_can_be_given():
    null = everything().null(instead={"label": 7, "text": "ab"})
    assert Label.of(null).number.tolist() == [7] * 3
    assert Caption.of(null).tokens.tolist() == [[97, 98]] * 3
    with pytest.raises(
        ValueError, match="no 'size' to be dropped: these images are drawn for label, image, text, pose"
    ):
        everything().null(instead={"size": 1})
    with pytest.raises(ValueError, match="'cat' is no class number"):
        everything().null(instead={"label": "cat"})
    with pytest.raises(ValueError, match="pose says what the task is"):
        everything().null(instead={"pose": 3})


def test_conditions_are_selected_and_joined_like_tensors():
    cond = everything()
    assert numbers(Condition.cat([cond.select(slice(0, 1)), cond.select(slice(1, 3))])) == numbers(cond)
    assert torch.equal(GivenImage.of(cond.select(torch.tensor([2, 0]))).values, IMAGE[[2, 0]])
    assert not Condition.cat([Condition(), Condition()])
    longer = Condition.cat([cond, cond.null(instead={"text": "abc"})])
    assert Caption.of(longer).tokens.tolist() == [[1, 2, 0], [3, 0, 0], [5, 6, 0], *[[97, 98, 99]] * 3]


def test_every_operation_keeps_every_part():
    cond = everything()
    pinned_as = torch.cuda.is_available()  # else there is no page-locked memory
    for other in (cond.to("cpu"), pickle.loads(pickle.dumps(cond)), *([cond.pin_memory()] if pinned_as else [])):
        assert numbers(other) == numbers(cond)
        assert list(other) == ["label", "image", "text", "pose"]
    moved = Batch(IMAGE, cond, torch.arange(3)).to("meta")
    assert {t.device.type for part in moved.cond.values() for t in part.tensors.values()} == {"meta"}
    assert {moved.x0.device.type, moved.number.device.type} == {"meta"}


def test_a_condition_says_whether_there_is_anything_to_drop():
    assert Condition(label=Label(LABEL)).is_droppable
    assert Condition(text=caption([1])).is_droppable
    assert not Condition(image=GivenImage(IMAGE)).is_droppable
    assert not Condition(pose=Pose(IMAGE[:, 0, 0])).is_droppable


def test_conditions_of_several_kinds_are_not_joined():
    with pytest.raises(ValueError, match="with and without 'label'"):
        Condition.cat([Condition(), Condition(label=Label(LABEL))])
    with pytest.raises(ValueError, match="'what' cannot be joined: it is of different kinds, Label, Pose"):
        Condition.cat([Condition(what=Label(LABEL)), Condition(what=Pose(IMAGE[:, 0, 0]))])


class Counting(nn.Module):
    """An embedder of captions that counts the texts that it is asked to read."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(128, 3)
        self.texts = self.calls = 0

    def forward(self, cond: Condition) -> Embedding:
        text = Caption.of(cond)
        self.calls, self.texts = self.calls + 1, self.texts + len(text.tokens)
        return Embedding(tokens=self.table(text.tokens), mask=text.mask)


def test_a_kept_condition_is_embedded_once_and_so_is_its_null_form():
    cond, embedder = everything().kept(), Counting()
    for _ in range(5):
        joined = Condition.cat([cond, cond.null(), cond.null(instead={"text": "abc"})])
        nested = Condition.cat([joined, joined.null()])
        found, whole = nested.embedded(embedder), embedder.table(Caption.of(nested).tokens)
        torch.testing.assert_close(found.tokens[found.mask], whole[Caption.of(nested).mask], rtol=0, atol=0)
        assert torch.equal(found.mask, Caption.of(nested).mask)
    # the condition, its null form and the given one; and the null forms of these two
    assert embedder.calls == 5
    assert embedder.texts == 15


def test_another_condition_is_embedded_anew_and_in_training_every_one():
    cond, embedder = everything(), Counting()
    for _ in range(2):
        assert cond.embedded(embedder).tokens.requires_grad
    cond.kept().embedded(embedder)
    cond.kept().embedded(embedder)
    assert embedder.calls == 4
    kept = cond.kept()
    assert not kept.embedded(embedder).tokens.requires_grad
    other = Counting()
    kept.embedded(other)
    assert (embedder.calls, other.calls) == (5, 1)


def test_shapes_are_checked_in_tests():
    with pytest.raises(TypeCheckError, match="t"):
        cosine(10)(torch.full((2, 1), 0.5, dtype=torch.float64))
