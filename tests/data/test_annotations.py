"""What a data set says of its images besides their class, and the way of it into a batch."""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from difflab.data import (
    AllButEveryNth,
    AnnotationInMemory,
    ArrayImages,
    DataError,
    EveryNth,
    HorizontalFlip,
    ImageData,
    RandomCrop,
    Shuffled,
    TrainingStream,
)
from difflab.data.subset import at_most, spread
from difflab.types import Batch, ConditionPart, DroppablePart, Label

COUNT = 12


@dataclass(frozen=True)
class Words(DroppablePart):
    """A caption: numbers of words, and which of them are there."""

    tokens: Int[Tensor, "b n"]
    mask: Bool[Tensor, "b n"]

    def null(self) -> "Words":
        return Words(torch.zeros_like(self.tokens), torch.zeros_like(self.mask))

    def instead(self, value: object) -> "Words":
        raise ValueError(value)


@dataclass(frozen=True)
class Map(ConditionPart):
    """One value for each pixel."""

    over_pixels = frozenset({"values"})
    values: Float[Tensor, "b c h w"]


def captioned(labelled: bool = True, shift: int = 0) -> ArrayImages:
    """Each image is its own map, and its caption is its number."""
    pixels = torch.randint(0, 256, (COUNT, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = ArrayImages(pixels, torch.arange(COUNT) % 3 if labelled else None)
    number = torch.arange(COUNT)
    found.annotations = {
        "text": AnnotationInMemory(Words(number[:, None].repeat(1, 4) + shift, number[:, None] > torch.arange(4))),
        "map": AnnotationInMemory(Map(pixels.float())),
    }
    return found


def numbers(cond) -> list[int]:
    return Words.of(cond).tokens[:, 0].tolist()


def test_the_condition_of_an_image_is_its_class_and_what_else_is_known():
    dataset, index = captioned(), torch.tensor([7, 2])
    cond = dataset.condition(index)
    assert list(cond) == ["label", "text", "map"]
    assert Label.of(cond).number.tolist() == [1, 2]
    assert numbers(cond) == [7, 2]
    assert Words.of(cond).mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert torch.equal(Map.of(cond).values, dataset.images(index).float())
    assert list(captioned(labelled=False).condition([0])) == ["text", "map"]
    assert list(ArrayImages(torch.zeros(2, 1, 4, 4, dtype=torch.uint8)).condition([0, 1])) == []


@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (lambda d: EveryNth(d, 4), [0, 4, 8]),
        (lambda d: AllButEveryNth(d, 6), [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]),
        (lambda d: at_most(d, 3), [0, 4, 8]),
        (lambda d: spread(d, 4), [0, 3, 6, 9]),
        (lambda d: Shuffled(EveryNth(d, 4)), [0, 4, 8]),
    ],
)
def test_some_of_the_images_have_their_own_conditions(some, expected):
    part = some(captioned())
    cond = part.condition(torch.arange(len(part)))
    assert sorted(numbers(cond)) == expected
    assert torch.equal(Label.of(cond).number, part.labels)
    assert torch.equal(Map.of(cond).values, part.images(range(len(part))).float())


def test_the_fingerprint_is_that_of_the_images_and_of_what_is_known_of_them():
    plain = captioned()
    plain.annotations = {}
    one, other = captioned(), captioned(shift=1)
    renamed = captioned()
    renamed.annotations = {"caption": renamed.annotations["text"], "map": renamed.annotations["map"]}
    assert plain.fingerprint == plain.hash_content() == one.hash_content()  # what it was before there were annotations
    assert one.fingerprint == captioned().fingerprint
    assert len({d.fingerprint for d in (plain, one, other, renamed)}) == 4
    assert len({at_most(d, 3).fingerprint for d in (plain, one, other, renamed)}) == 4


def test_what_is_done_to_an_image_is_done_to_what_lies_over_it():
    stream = TrainingStream(captioned(), 3, 0, [HorizontalFlip(), RandomCrop(0.5)])
    batch = stream[list(range(40))]
    shown = Map.of(batch.cond).values.round().to(torch.uint8)
    assert torch.equal(shown, batch.x0)
    plain = TrainingStream(captioned(), 3, 0)[list(range(40))]
    assert not torch.equal(Map.of(plain.cond).values, Map.of(batch.cond).values)
    assert numbers(batch.cond) == numbers(plain.cond) == stream.indices(batch.number).tolist()


def test_a_model_is_told_no_class_where_it_knows_none():
    assert list(ImageData(captioned(), 4, 8, 1, 3).stream[[0]].cond) == ["label", "text", "map"]
    assert list(ImageData(captioned(), 4, 8, 1, 0).stream[[0]].cond) == ["text", "map"]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_workers_are_those_of_the_process_itself(workers):
    data = ImageData(captioned(), 4, 8, 1, 3, num_workers=workers)
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    expected = data.stream[[0, 1, 2, 3]]
    assert numbers(batch.cond) == numbers(expected.cond)
    assert torch.equal(Map.of(batch.cond).values, Map.of(expected.cond).values)


def test_every_image_needs_one():
    dataset = captioned()
    dataset.annotations = {"text": AnnotationInMemory(Words(torch.zeros(5, 4).long(), torch.ones(5, 4).bool()))}
    with pytest.raises(DataError, match="12 images, and text of 5: every image needs one"):
        ImageData(dataset, 4, 8, 1, 3)
