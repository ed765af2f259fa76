import itertools

import pytest
import torch

from difflab.data import ArrayImages, DataError, GlobalBatches, HorizontalFlip, TrainingStream
from difflab.data.stream import epoch_order
from difflab.types import Batch, Condition, Label


def numbered_images(count: int) -> ArrayImages:
    """Image i is told from all others, and from its mirror image."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None] * torch.tensor(
        [[1, 2], [3, 4]], dtype=torch.uint8
    )
    return ArrayImages(pixels, torch.arange(count) % 3)


def take(batches: GlobalBatches, count: int) -> list[list[int]]:
    return list(itertools.islice(batches, count))


def test_an_epoch_shows_every_image_once_in_a_new_order():
    stream = TrainingStream(numbered_images(13), 0, seed=3)
    numbers = torch.tensor([n for batch in take(GlobalBatches(4), 13) for n in batch])  # 52 = 4 epochs of 13
    epochs = stream.indices(numbers).reshape(4, 13)
    assert all(sorted(epoch) == list(range(13)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4


def test_a_batch_may_be_larger_than_the_data_set():
    stream = TrainingStream(numbered_images(5), 0, seed=0)
    index = stream.indices(torch.arange(3, 3 + 23))
    orders = torch.cat([epoch_order(0, epoch, 5) for epoch in range(6)])
    assert torch.equal(index, orders[3:26])


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    assert torch.equal(epoch_order(1, 7, 100), epoch_order(1, 7, 100))
    assert not torch.equal(epoch_order(1, 7, 100), epoch_order(2, 7, 100))
    assert epoch_order(0, 0, 8).tolist() == [2, 1, 7, 3, 0, 5, 6, 4], "runs in progress depend on this order"


def test_the_order_is_uniform():
    """Chi-square over all 24 orders of four images; 23 degrees of freedom, 99.99 % below 60."""
    orders = [tuple(epoch_order(0, epoch, 4).tolist()) for epoch in range(2400)]
    counts = [orders.count(order) for order in itertools.permutations(range(4))]
    assert sum((count - 100) ** 2 / 100 for count in counts) < 60


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 3), (2, 3), (4, 1), (12, 1)])
def test_a_step_has_the_same_images_and_flips_on_any_number_of_processes(world, accumulate):
    dataset = numbered_images(17)

    def step(number: int, world: int, accumulate: int) -> Batch:
        parts = []
        for micro, rank in itertools.product(range(accumulate), range(world)):
            stream = TrainingStream(
                dataset, dataset.num_classes, 5, [HorizontalFlip()]
            )  # as every process makes its own
            batches = take(GlobalBatches(12, world, rank, accumulate), (number + 1) * accumulate)
            parts.append(stream[batches[number * accumulate + micro]])
        cond = Condition.cat([part.cond for part in parts])
        return Batch(torch.cat([p.x0 for p in parts]), cond, torch.cat([p.number for p in parts]))

    for number in range(4):
        one, many = step(number, 1, 1), step(number, world, accumulate)
        assert many.number.tolist() == list(range(12 * number, 12 * number + 12))
        assert torch.equal(one.x0, many.x0)
        assert torch.equal(Label.of(one.cond).number, Label.of(many.cond).number)


@pytest.mark.parametrize(("step", "micro"), [(0, 0), (1, 0), (1, 2), (5, 1)])
def test_the_stream_goes_on_at_any_step_and_micro_batch(step, micro):
    whole = take(GlobalBatches(12, world_size=2, rank=1, accumulate=3), 30)
    resumed = take(GlobalBatches(12, world_size=2, rank=1, accumulate=3, step=step, micro_batch=micro), 5)
    assert resumed == whole[3 * step + micro :][:5]


def test_images_and_labels_go_together():
    dataset = numbered_images(17)
    batch = TrainingStream(dataset, dataset.num_classes, 0)[list(range(17))]
    assert torch.equal(batch.x0[:, 0, 0, 0].long() % 3, Label.of(batch.cond).number)


def test_about_half_the_images_are_mirrored_and_anew_in_each_epoch():
    stream = TrainingStream(numbered_images(20), 0, 0, [HorizontalFlip()])
    plain = TrainingStream(numbered_images(20), 0, 0)
    numbers = list(range(2000))
    mirrored = (stream[numbers].x0 != plain[numbers].x0).flatten(1).any(1)
    blank = plain.indices(torch.tensor(numbers)) == 0  # image 0 is all black
    assert abs(mirrored[~blank].double().mean() - 0.5) < 0.05  # 4.4 standard errors
    assert torch.equal(stream[numbers].x0[mirrored], plain[numbers].x0[mirrored].flip(-1))
    per_image = [mirrored[stream.indices(torch.tensor(numbers)) == image] for image in range(1, 20)]
    assert all(0 < image.sum() < len(image) for image in per_image)


@pytest.mark.parametrize(("batch", "world", "accumulate"), [(10, 4, 1), (10, 2, 3), (2, 4, 1), (0, 1, 1)])
def test_a_batch_that_cannot_be_shared_out_is_refused(batch, world, accumulate):
    with pytest.raises(DataError, match=rf"data.batch_size={batch} .* {world} x {accumulate} = {world * accumulate}"):
        GlobalBatches(batch, world, 0, accumulate)
