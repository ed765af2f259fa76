"""The measures that need moments alone, against published implementations and closed forms."""

import json
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from recipes import LOGITS, SETS

from difflab.evaluation import Evaluator
from difflab.evaluation.reference import FeatureReference, PublishedStatistics
from difflab.features import Features, FeatureSet, Identity
from difflab.metrics import (
    ClassFrechet,
    Frechet,
    FrechetInfinity,
    Gaussian,
    Inception,
    InceptionOfSize,
    SpatialFrechet,
    frechet_distance,
)
from difflab.metrics.gaussian import gaussian_of

GOLDEN = Path(__file__).parents[1] / "golden"
TORCH_FIDELITY = json.loads((GOLDEN / "metrics_torch.json").read_text(encoding="utf-8"))
GUIDED = json.loads((GOLDEN / "metrics_guided_tf.json").read_text(encoding="utf-8"))
LOGITS_1008 = torch.from_numpy(LOGITS()["logits1008"])
NOTHING = PublishedStatistics({"features": Gaussian(torch.zeros(1), torch.eye(1), 0)})
"""A score has no reference."""

pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the .* dimensions")


@cache
def sets(name: str) -> tuple[FeatureSet, FeatureSet]:
    """Reference and samples with the same numbers as pooled and, mirrored, as spatial features; in uneven parts."""
    found = []
    for array in SETS()[name]:
        rows = torch.from_numpy(array)
        identity = Identity("inception", rows.shape[1], "none", spatial_dimension=rows.shape[1])
        found.append(FeatureSet(identity, [{"features": part, "spatial": part.flip(1)} for part in rows.split(97)]))
    return found[0], found[1]


@pytest.mark.parametrize(("name", "tolerance"), [("gauss64", 1e-7), ("lowrank64", 2e-7), ("inception_like2048", 2e-5)])
def test_distances_are_guided_diffusions_and_torch_fidelitys(name, tolerance):
    """Below full rank theirs count rounding noise (see metrics/gaussian.py)."""
    real, fake = sets(name)
    found = Frechet().measure(fake, FeatureReference(real)) | SpatialFrechet().measure(fake, FeatureReference(real))
    for golden in (
        GUIDED["guided"][name]["fid"],
        TORCH_FIDELITY["torch_fidelity"][name]["frechet_inception_distance"],
    ):
        assert found == pytest.approx({"fid": golden, "sfid": golden}, rel=tolerance)


def of_logits(logits: torch.Tensor, part: int = 83) -> FeatureSet:
    identity = Identity("inception", 1, "none", num_classes=logits.shape[1])
    return FeatureSet(identity, [{"features": p[:, :1], "logits": p} for p in logits.split(part)])


@pytest.mark.parametrize("splits", [1, 10])
def test_scores_are_torch_fidelitys(splits):
    golden = TORCH_FIDELITY["torch_fidelity_isc"][f"logits1008/splits={splits}/shuffle=False"]
    expected = {"is": golden["inception_score_mean"], "is_std": golden["inception_score_std"]}
    found = Inception(splits).measure(of_logits(LOGITS_1008), NOTHING)
    assert list(found) == Inception(splits).names(of_logits(LOGITS_1008).identity)
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-8)


@pytest.mark.parametrize("size", [250, 5000])
def test_scores_in_parts_are_guided_diffusions(size):
    """Of 700 images, parts of 250 leave a last one of 200. Its evaluator works in float32."""
    golden = GUIDED["guided_inception_score"][f"logits1008/split_size={size}"]
    assert InceptionOfSize(size).measure(of_logits(LOGITS_1008), NOTHING) == pytest.approx({"is": golden}, rel=1e-6)
    assert InceptionOfSize(size).protocol() != InceptionOfSize(7).protocol()


def classes(seed: int, n: int, shift: float) -> FeatureSet:
    """Three classes of 4 features and different means; the classes alternate."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    rows = torch.randn(n, 4, generator=generator) + 5 * labels[:, None] + shift * (labels == 1)[:, None]
    return FeatureSet(Identity("test", 4, "none"), [{"features": part} for part in rows.split(50)], labels)


def test_class_distance_is_the_mean_over_classes():
    real, fake = classes(0, 300, 0), classes(1, 200, 3)
    expected = [
        frechet_distance(*(gaussian_of(s.select((s.labels == c).nonzero()[:, 0])) for s in (fake, real))).distance
        for c in range(3)
        if real.labels is not None
    ]
    found = ClassFrechet().measure(fake, FeatureReference(real))
    assert found == pytest.approx({"class_fd_test": sum(expected) / 3}, rel=1e-12)
    # only class 1 was shifted, by three in each of four dimensions
    assert expected[1] == pytest.approx(36, rel=0.15)
    assert max(expected[0], expected[2]) < 1


def test_class_distance_sees_labels_that_are_wrong():
    real, fake = classes(0, 300, 0), classes(1, 300, 0)
    assert fake.labels is not None
    wrong = FeatureSet(fake.identity, fake.parts, (fake.labels + 1) % 3)
    reference = FeatureReference(real)
    assert Frechet().measure(fake, reference) == Frechet().measure(wrong, reference)
    assert (
        ClassFrechet().measure(wrong, reference)["class_fd_test"]
        > 50 * ClassFrechet().measure(fake, reference)["class_fd_test"]
    )


def test_class_distance_warns_once_and_refuses_what_it_cannot_do():
    real, fake = classes(0, 30, 0), classes(1, 9, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ClassFrechet().measure(fake, FeatureReference(real))
    assert [str(w.message)[:31] for w in caught] == ["a class has only 3 images for 4"]
    unlabelled = FeatureSet(fake.identity, fake.parts)
    with pytest.raises(ValueError, match="the samples have no labels"):
        ClassFrechet().measure(unlabelled, FeatureReference(real))
    with pytest.raises(ValueError, match="the reference has no images with labels"):
        ClassFrechet().measure(fake, FeatureReference(unlabelled))
    with pytest.raises(ValueError, match="class 2 has 1 samples and 10 real"):
        ClassFrechet().measure(
            fake.select(torch.arange(8)).select(torch.tensor([0, 1, 2, 3, 4])), FeatureReference(real)
        )
    stranger = FeatureSet(fake.identity, fake.parts, torch.full((9,), 7))
    with pytest.raises(ValueError, match="samples of class 7, of which the reference has no image"):
        ClassFrechet().measure(stranger, FeatureReference(real))


def gauss(seed: int, n: int, d: int = 8) -> FeatureSet:
    rows = 0.3 + 1.2 * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return FeatureSet.of(Identity("test", d, "none"), Features(rows))


NORMAL = PublishedStatistics(
    {"features": Gaussian(torch.zeros(8, dtype=torch.float64), torch.eye(8, dtype=torch.float64), 0)}
)
TRUTH = 8 * (0.3**2 + 0.2**2)


def test_the_limit_is_free_of_the_bias_of_n():
    """Over 100 sets of 160 images; the distance at 160 is too large by a sixth."""
    metric = FrechetInfinity(halvings=2, smallest_subset=40)
    at_n = torch.tensor([Frechet().measure(gauss(seed, 160), NORMAL)["fd_test"] for seed in range(100)])
    limit = torch.tensor([metric.measure(gauss(seed, 160), NORMAL)["fd_inf_test"] for seed in range(100)])
    assert at_n.mean() - TRUTH > 0.12
    assert abs(limit.mean() - TRUTH) < 3 * limit.std() / 10
    # subsets that are disjoint share their first-order noise with the whole set: the fit adds next to none
    assert limit.std() < 1.1 * at_n.std()


def test_the_limit_by_hand_from_two_halves():
    """A line through (1/N, whole) and (2/N, mean of the halves) ends at 2 whole - halves."""
    samples = gauss(0, 100)
    metric = FrechetInfinity(halvings=1, smallest_subset=50, seed=3)
    group = metric._partition(100)
    assert (group == 0).sum() == 50
    halves = [Frechet().measure(samples.select((group == g).nonzero()[:, 0]), NORMAL)["fd_test"] for g in range(2)]
    expected = 2 * Frechet().measure(samples, NORMAL)["fd_test"] - sum(halves) / 2
    assert metric.measure(samples, NORMAL) == pytest.approx({"fd_inf_test": expected}, rel=1e-10)
    other = FrechetInfinity(halvings=1, smallest_subset=50, seed=4)
    assert metric.measure(samples, NORMAL) != other.measure(samples, NORMAL)
    assert metric.protocol() != other.protocol()
    with pytest.raises(ValueError, match="subsets of 49, fewer than"):
        metric.measure(gauss(0, 99), NORMAL)
    assert metric.needs().samples == 100


def test_names_are_the_fields_for_inception_only():
    metrics = [Frechet(), SpatialFrechet(), Inception(), ClassFrechet(), FrechetInfinity()]
    inception, other = Identity("inception", 1, ""), Identity("digits", 1, "")
    assert [n for m in metrics for n in m.names(inception)] == ["fid", "sfid", "is", "is_std", "class_fd", "fid_inf"]
    assert [n for m in metrics for n in m.names(other)] == [
        "fd_digits",
        "sfd_digits",
        "is_digits",
        "is_digits_std",
        "class_fd_digits",
        "fd_inf_digits",
    ]


def test_equal_to_the_evaluation_during_training(tmp_path):
    """An Evaluator accumulates while samples are made, these read stored features; one protocol, one number."""
    from difflab.data import Digits
    from difflab.evaluation import StatisticsCache
    from difflab.evaluation.reference import ReferenceSource
    from difflab.features import DigitsExtractor
    from difflab.features.embed import embed

    class Half:
        def __init__(self, which: int):
            self.pixels = Digits().images(range(which, 1400, 2))
            self.fingerprint = f"digits-{which}"
            self.labels = None

        def __len__(self) -> int:
            return len(self.pixels)

        def images(self, indices):
            return self.pixels[indices]

    real, fake, extractor = Half(0), Half(1), DigitsExtractor()
    source = ReferenceSource(real, None, real.fingerprint)
    during = Evaluator({"fd": Frechet(), "is": Inception()}, extractor, source, cache=tmp_path).prepare(700)
    during.update(fake.pixels, torch.arange(700))
    samples = embed(fake, extractor, tmp_path, batch_size=64)
    reference = FeatureReference(embed(real, extractor, tmp_path), StatisticsCache(tmp_path))
    found = Frechet().measure(samples, reference) | Inception().measure(samples, reference)
    assert found == pytest.approx(during.compute(), rel=1e-6)
