"""The accumulator of the evaluation loop: same numbers whoever made the images, in any batch, on any number of processes."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from difflab.distributed.group import from_first_process
from difflab.evaluation import Evaluator
from difflab.evaluation.reference import ReferenceSource
from difflab.features import DigitsExtractor
from difflab.metrics import Frechet, Inception, at_count

N = 200


class RandomDigits:
    """Blurred noise: not digits, but 8x8 grey images that differ from set to set."""

    def __init__(self, seed: int, n: int):
        generator = torch.Generator().manual_seed(seed)
        smooth = torch.nn.functional.interpolate(torch.rand(n, 1, 4, 4, generator=generator), size=8, mode="bilinear")
        self.pixels = (255 * smooth).to(torch.uint8)
        self.fingerprint = f"random-{seed}-{n}"
        self.labels = None

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices):
        return self.pixels[indices]


REAL, FAKE = RandomDigits(0, 300), RandomDigits(1, N + 7)


def metrics_in(folder: Path, real: RandomDigits = REAL) -> Evaluator:
    source = ReferenceSource(real, None, real.fingerprint)
    metrics = {"frechet": Frechet(), "inception_score": Inception(4)}
    return Evaluator(metrics, DigitsExtractor(), source, cache=folder).prepare(N)


def evaluate(metrics: Evaluator, index: torch.Tensor, batch: int) -> dict[str, float]:
    for rows in index.split(batch):
        metrics.update(FAKE.pixels[rows], rows)
    return metrics.compute()


def test_equals_torch_fidelity_on_the_same_features(tmp_path):
    # imported here to keep the start of the processes below short
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = evaluate(metrics_in(tmp_path), torch.arange(N), batch=64)
    features, logits, _ = DigitsExtractor()(FAKE.pixels[:N])
    real, _, _ = DigitsExtractor()(REAL.pixels)
    fid = fid_statistics_to_metric(
        fid_features_to_statistics(real.double()), fid_features_to_statistics(features.double()), False
    )
    isc = isc_features_to_metric(logits, splits=4, shuffle=False)
    assert found == pytest.approx(
        {
            "fd_digits": fid["frechet_inception_distance"],
            "is_digits": isc["inception_score_mean"],
            "is_digits_std": isc["inception_score_std"],
        },
        rel=1e-6,
    )


def test_order_batch_size_and_padding_do_not_matter(tmp_path):
    metrics = metrics_in(tmp_path)
    expected = evaluate(metrics, torch.arange(N), batch=N)
    metrics.reset()
    shuffled = torch.randperm(N + 7, generator=torch.Generator().manual_seed(0))  # the last 7 are padding
    assert evaluate(metrics, shuffled, batch=31) == pytest.approx(expected, rel=1e-6)


def test_computing_twice_changes_nothing(tmp_path):
    metrics = metrics_in(tmp_path)
    assert evaluate(metrics, torch.arange(N), batch=50) == metrics.compute()


def test_missing_and_repeated_images_are_refused(tmp_path):
    metrics = metrics_in(tmp_path)
    with pytest.raises(ValueError, match="1 are missing, 0 came more than once, the first is 0"):
        evaluate(metrics, torch.arange(1, N), batch=50)
    metrics.reset()
    with pytest.raises(ValueError, match="0 are missing, 1 came more than once, the first is 3"):
        evaluate(metrics, torch.cat([torch.arange(N), torch.tensor([3])]), batch=50)
    with pytest.raises(ValueError, match="as many indices"):
        metrics.update(FAKE.pixels[:2], torch.arange(3))


def test_protocol_says_what_defines_the_numbers(tmp_path):
    metrics, drawing = metrics_in(tmp_path), {"sampler": {"steps": 5}}
    protocols = metrics.protocols(drawing, N)
    assert set(protocols) == set(evaluate(metrics, torch.arange(N), batch=64))
    fields = protocols["fd_digits"].fields
    assert fields["extractor.name"] == "digits"
    assert fields["extractor.fingerprint"] == DigitsExtractor().fingerprint
    assert (fields["reference.fingerprint"], fields["reference.images"], fields["samples"]) == ("random-0-300", 300, N)
    assert fields["sampler.steps"] == 5
    assert protocols["is_digits"].fields["metric.splits"] == 4
    fewer = metrics_in(tmp_path, RandomDigits(0, 100)).protocols(drawing, N)
    differing = {d.field for d in protocols["fd_digits"].differences(fewer["fd_digits"])}
    assert differing == {"reference.images", "reference.fingerprint"}


def test_labels():
    labels = [at_count("fid", n) for n in (64, 1000, 1500, 1536, 10_000, 50_000)]
    assert labels == ["fid@64", "fid@1k", "fid@1.5k", "fid@1536", "fid@10k", "fid@50k"]


def _process(rank: int, world: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    # process 1 has a cache of its own that stays empty: it must get what process 0 read or computed with it
    metrics = metrics_in(Path(folder) / f"cache-{rank}")
    results = [evaluate(metrics, torch.arange(rank, N + rank, world), batch=17)]
    metrics = metrics_in(Path(folder) / f"cache-{rank}")
    results.append(evaluate(metrics, torch.arange(rank, N + rank, world), batch=40))
    first = from_first_process([torch.tensor(10.0 + rank), torch.full((2,), 20.0 + rank)])
    assert [t.tolist() for t in first] == [10.0, [20.0, 20.0]]
    torch.save(results, Path(folder) / f"result-{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path):
    expected = evaluate(metrics_in(tmp_path / "one"), torch.arange(N), batch=64)
    spawn(_process, args=(2, str(tmp_path)), nprocs=2)
    results = [torch.load(tmp_path / f"result-{rank}.pt") for rank in range(2)]
    assert results[0] == results[1]
    for result in results[0]:
        assert result == pytest.approx(expected, rel=1e-6)
    assert len(list((tmp_path / "cache-0").iterdir())) == 1
    assert not (tmp_path / "cache-1").exists()
