"""The benchmark of loading: all contenders give the same images in an epoch."""

import pytest
import torch
from benchmarks.loading import FORMATS, TORCHVISION, Epochs, in_memory, measure, of_files, random_images
from benchmarks.settings import Settings


def epoch_of(epochs: Epochs, which: int) -> torch.Tensor:
    """All images of an epoch."""
    running = epochs()
    for _ in range(which):
        assert list(next(running))
    return torch.cat(list(next(running)))


def in_one_order(images: torch.Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in images)


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("workers", [0, 2])
def test_files_give_everybody_the_same_images(tmp_path, monkeypatch, extension, workers):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    contenders = of_files(tmp_path / "images", extension, 24, 8, workers)
    found = {(name, which): epoch_of(epochs, which) for name, epochs in contenders.items() for which in (0, 1)}
    assert {images.dtype for images in found.values()} == {torch.uint8}
    expected = in_one_order(found[TORCHVISION, 0])
    assert len(set(expected)) == 24
    assert all(in_one_order(images) == expected for images in found.values())
    assert not torch.equal(found["difflab", 0], found["difflab", 1])  # another order
    if extension == ".png":
        assert expected == in_one_order(random_images(24, 64))


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_gives_everybody_the_same_images_but_for_mirroring(workers):
    def unmirrored(images: torch.Tensor) -> list[bytes]:
        levels = ((images + 1) * 127.5).round().to(torch.uint8)
        assert (levels / 127.5 - 1 - images).abs().max() < 1e-6
        return sorted(min(x.numpy().tobytes(), x.flip(-1).numpy().tobytes()) for x in levels)

    contenders = in_memory(64, 8, workers)
    original = random_images(64, 32)
    expected = unmirrored(original / 127.5 - 1)
    for epochs in contenders.values():
        images = epoch_of(epochs, 1)
        assert images.dtype == torch.float32
        assert unmirrored(images) == expected
        same = set(in_one_order(original)) & set(in_one_order(((images + 1) * 127.5).round().to(torch.uint8)))
        assert 10 < len(same) < 54  # half of them


def test_quick_measures_every_case(tmp_path):
    found = list(measure(Settings(rounds=1, quick=True, device=torch.device("cpu"), scratch=tmp_path)))
    assert len(found) == len({m.case for m in found}) == 12
    for measurement in found:
        shards = {"difflab, shards"} if "64x64" in measurement.case else set()
        assert set(measurement.values) == {"difflab", TORCHVISION} | shards
        assert all(len(values) == 1 and values[0] > 0 for values in measurement.values.values())
