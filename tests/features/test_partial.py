"""What is partial of an interrupted computation is what an undisturbed one had at that place."""

import pytest
import torch

from difflab.data import Digits
from difflab.data.subset import Spread
from difflab.evaluation import ReferenceStatistics, StatisticsCache
from difflab.features import DigitsExtractor
from difflab.features import partial as partial_module
from difflab.features.embed import embed
from difflab.features.partial import PartialResults

FIELDS = {"images": "abc", "batch_size": 16}
SUMS = {"count": torch.tensor(3.0, dtype=torch.float64), "outer": torch.randn(4, 4, dtype=torch.float64)}


class PowerCut(Exception):
    """What ends a computation."""


class CutOff:
    """A set of images of which those from number `last` on cannot be read.

    Attributes:
        asked: Numbers of the images that were read.
    """

    def __init__(self, count: int, last: int | None = None):
        self._whole, self._last = Spread(Digits(), count), last
        self.fingerprint, self.labels, self.asked = self._whole.fingerprint, self._whole.labels, []

    def __len__(self) -> int:
        return len(self._whole)

    def images(self, indices):
        if self._last is not None and max(indices) >= self._last:
            raise PowerCut
        self.asked += list(indices)
        return self._whole.images(indices)


@pytest.fixture
def _written_after_every_batch(monkeypatch):
    monkeypatch.setattr(partial_module, "EVERY", 0.0)


def test_what_was_partial_comes_back_and_nothing_else(tmp_path):
    partial = PartialResults(tmp_path / "a", FIELDS)
    assert partial.load() == (0, {})
    partial.save(7, SUMS)
    done, tensors = PartialResults(tmp_path / "a", FIELDS).load()
    assert done == 7
    assert all(torch.equal(tensors[name], SUMS[name]) for name in SUMS)
    assert PartialResults(tmp_path / "a", FIELDS | {"batch_size": 8}).load() == (0, {})
    content = bytearray((tmp_path / "a").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a").write_bytes(content)
    assert partial.load() == (0, {})
    (tmp_path / "a").write_bytes(content[:50])
    assert partial.load() == (0, {})


@pytest.mark.usefixtures("_written_after_every_batch")
def test_an_interrupted_embedding_goes_on_within_a_part_bit_for_bit(tmp_path):
    whole = embed(CutOff(200), DigitsExtractor(), tmp_path / "whole", 16).column("features")
    with pytest.raises(PowerCut):
        embed(CutOff(200, last=130), DigitsExtractor(), tmp_path / "cut", 16)
    source, told = CutOff(200), []
    found = embed(source, DigitsExtractor(), tmp_path / "cut", 16, lambda *numbers: told.append(numbers))
    assert torch.equal(found.column("features"), whole)
    assert source.asked == list(range(128, 200))
    assert told[0] == (128, 200)
    assert told[-1] == (200, 200)
    assert not list((tmp_path / "cut").rglob("begun-*"))


@pytest.mark.usefixtures("_written_after_every_batch")
def test_an_interrupted_reference_goes_on_bit_for_bit(tmp_path):
    def statistics(source: CutOff, folder: str) -> ReferenceStatistics:
        return ReferenceStatistics(source, DigitsExtractor(), StatisticsCache(tmp_path / folder), 16)

    whole = statistics(CutOff(200), "whole").gaussians(["features"])["features"]
    with pytest.raises(PowerCut):
        statistics(CutOff(200, last=130), "cut").gaussians(["features"])["features"]
    source, told = CutOff(200), []
    found = statistics(source, "cut").gaussians(["features"], lambda *numbers: told.append(numbers))["features"]
    assert torch.equal(found.mean, whole.mean)
    assert torch.equal(found.covariance, whole.covariance)
    assert source.asked == list(range(128, 200))
    assert (told[0], told[-1]) == ((128, 200), (200, 200))
    assert not list((tmp_path / "cut").glob("*.begun"))
