"""Stored features: one network pass per content, resumable, the same on any number of processes."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from difflab.features import FeatureExtractor, Features, FeatureSet, Identity
from difflab.features.embed import embed
from difflab.metrics.gaussian import gaussian_of

N = 2500


class Pixels(FeatureExtractor):
    """4 pixels are the features, 2 the logits, 3 see where things are. Counts the images it has seen."""

    def __init__(self, preprocessing: str = "none"):
        super().__init__(Identity("pixels", 4, preprocessing, num_classes=2, spatial_dimension=3), nn.Identity())
        self.seen = 0

    def _extract(self, images: torch.Tensor) -> Features:
        self.seen += len(images)
        pixels = images.flatten(1).float()
        return Features(pixels, pixels[:, :2], pixels[:, 1:])


class Dead(Pixels):
    """A process that is killed in the middle of the work."""

    def _extract(self, images: torch.Tensor) -> Features:
        if self.seen > 1500:
            raise KeyboardInterrupt
        return super()._extract(images)


class Source:
    def __init__(self, seed: int = 0, n: int = N):
        generator = torch.Generator().manual_seed(seed)
        self.pixels = torch.randint(0, 256, (n, 1, 2, 2), dtype=torch.uint8, generator=generator)
        self.labels = torch.arange(n) % 10
        self.fingerprint = f"random-{seed}-{n}"

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices):
        return self.pixels[indices]


def assert_right(found: FeatureSet, source: Source) -> None:
    pixels = source.pixels.flatten(1).float()
    assert torch.equal(found.column("features"), pixels)
    assert torch.equal(found.column("logits"), pixels[:, :2])
    assert torch.equal(found.column("spatial"), pixels[:, 1:])
    assert found.labels is not None
    assert torch.equal(found.labels, source.labels)


def test_the_second_time_no_image_is_looked_at(tmp_path):
    first, second, seen = Pixels(), Pixels(), []
    assert_right(embed(Source(), first, tmp_path, 100, lambda done, all_: seen.append((done, all_))), Source())
    assert_right(embed(Source(), second, tmp_path, 33), Source())
    assert (first.seen, second.seen) == (N, 0)
    assert seen[-1] == (N, N)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_other_content_is_another_set(tmp_path):
    keys = {embed(Source(), Pixels(), tmp_path).fingerprint}
    for source, extractor in ((Source(seed=1), Pixels()), (Source(), Pixels("other")), (Source(n=2000), Pixels())):
        keys.add(embed(source, extractor, tmp_path).fingerprint)
        assert extractor.seen == len(source)
    assert len(keys) == 4


def test_what_was_done_before_a_kill_is_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed(Source(), Dead(), tmp_path, batch_size=128)
    again = Pixels()
    found = embed(Source(), again, tmp_path, batch_size=128)
    assert again.seen == N - 1024
    assert_right(found, Source())


@pytest.mark.parametrize("damage", ["truncated", "a bit flipped", "foreign", "another part"])
def test_only_a_damaged_part_is_computed_again_with_a_warning(tmp_path, damage):
    embed(Source(), Pixels(), tmp_path)
    parts = sorted(tmp_path.glob("*/part-*"))
    assert len(parts) == 3
    content = bytearray(parts[1].read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "a bit flipped":
        content[-3] ^= 16
    elif damage == "foreign":
        content = bytearray(b"no features at all")
    else:
        content = bytearray(parts[0].read_bytes())
    parts[1].write_bytes(content)
    again = Pixels()
    with pytest.warns(UserWarning, match="part-00001.*damaged"):
        found = embed(Source(), again, tmp_path)
    assert again.seen == 1024
    assert_right(found, Source())


def test_select_reads_the_rows_in_their_order_across_parts(tmp_path):
    found, source = embed(Source(), Pixels(), tmp_path), Source()
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(0))[:700]
    chosen = found.select(rows)
    assert torch.equal(chosen.column("spatial"), source.pixels.flatten(1)[rows, 1:].float())
    assert chosen.labels is not None
    assert torch.equal(chosen.labels, source.labels[rows])
    assert chosen.fingerprint is None


def test_a_broken_image_is_named(tmp_path):
    class Broken(Pixels):
        def _extract(self, images: torch.Tensor) -> Features:
            features, logits, spatial = super()._extract(images)
            if self.seen > 1200:
                logits = logits.clone()
                logits[1, 0] = torch.nan
            return Features(features, logits, spatial)

    with pytest.raises(ValueError, match="NaN or infinity as logits of image 1025"):
        embed(Source(), Broken(), tmp_path, batch_size=200)
    with pytest.raises(ValueError, match="nothing to embed"):
        embed(Source(n=0), Pixels(), tmp_path)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match="a folder that can be written"):
        embed(Source(), Pixels(), tmp_path / "file")


def _process(rank: int, world: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    extractor = Pixels()
    found = embed(Source(), extractor, Path(folder) / "features", batch_size=100)
    assert_right(found, Source())
    assert extractor.seen == (1024 + N - 2048 if rank == 0 else 1024)
    dist.destroy_process_group()


def test_two_processes_share_the_work(tmp_path):
    spawn(_process, args=(2, str(tmp_path)), nprocs=2)
    alone = embed(Source(), Pixels(), tmp_path / "alone", batch_size=100)
    assert alone.fingerprint is not None
    for part in (tmp_path / "alone" / f"features-{alone.fingerprint}").iterdir():
        shared = tmp_path / "features" / f"features-{alone.fingerprint}" / part.name
        assert shared.read_bytes() == part.read_bytes()


class Rows:
    """32,768 images of 512 pixels, made when they are asked for."""

    fingerprint = "rows"

    def __len__(self) -> int:
        return 32768

    def images(self, indices):
        return (torch.as_tensor(indices)[:, None] + torch.arange(512)).to(torch.uint8).view(-1, 1, 16, 32)


class Flat(FeatureExtractor):
    def __init__(self):
        super().__init__(Identity("flat", 512, "none"), nn.Identity())

    def _extract(self, images: torch.Tensor) -> Features:
        return Features(images.flatten(1).float())


def private_memory() -> int:
    """Megabytes that are neither files nor shared."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory is whose")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """The features are 64 MB in parts of 2 MB."""
    before = private_memory()
    found = embed(Rows(), Flat(), tmp_path)
    gaussian = gaussian_of(found)
    assert private_memory() - before < 30
    assert gaussian.count == 32768
