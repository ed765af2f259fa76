"""Files of statistics as others publish them, ours as others read them, and every way to break one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from difflab.data import DataError, Digits
from difflab.evaluation import open_statistics, save_statistics
from difflab.features import DigitsExtractor, FeatureExtractor
from difflab.metrics import Gaussian, Moments, frechet_distance

D, S = 6, 4
DRAWN = np.random.default_rng(0).standard_normal((50, D)) @ np.random.default_rng(1).standard_normal((D, D))
SPATIAL = np.random.default_rng(2).standard_normal((50, S))
MU, SIGMA = DRAWN.mean(0), np.cov(DRAWN, rowvar=False)
MU_S, SIGMA_S = SPATIAL.mean(0), np.cov(SPATIAL, rowvar=False)
PUBLISHED = {
    "OpenAI": {
        "mu": MU,
        "sigma": SIGMA,
        "mu_s": MU_S,
        "sigma_s": SIGMA_S,
        "arr_0": np.zeros((2, 8, 8, 3), np.uint8),
    },
    "EDM and pytorch-fid": {"mu": MU, "sigma": SIGMA},
    "in float32": {"mu": MU.astype(np.float32), "sigma": SIGMA.astype(np.float32)},
}


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return DigitsExtractor()


@pytest.mark.parametrize("layout", PUBLISHED)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_published_layouts_are_read(layout, save, tmp_path):
    save(tmp_path / "a.npz", **PUBLISHED[layout])
    found = open_statistics(tmp_path / "a.npz")
    expected = {"features": (MU, SIGMA)} | ({"spatial": (MU_S, SIGMA_S)} if layout == "OpenAI" else {})
    assert found.gaussians.keys() == expected.keys()
    assert found.extractor is None
    for column, (mean, covariance) in expected.items():
        gaussian = found.gaussians[column]
        assert (gaussian.mean.dtype, gaussian.covariance.dtype, gaussian.count) == (torch.float64, torch.float64, 0)
        tolerance = 1e-6 if layout == "in float32" else 1e-15
        np.testing.assert_allclose(gaussian.mean.numpy(), mean, rtol=tolerance)
        np.testing.assert_allclose(gaussian.covariance.numpy(), covariance, rtol=tolerance, atol=tolerance)


def test_ours_come_back_and_others_find_what_they_look_for(extractor, tmp_path):
    digits, moments = Digits(), Moments(extractor.identity.dimension)
    moments.update(extractor(digits.images(range(300))).features)
    gaussian, path = moments.gaussian(), tmp_path / "digits.npz"
    save_statistics(path, {"features": gaussian}, extractor)
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits.npz"]
    found = open_statistics(path, extractor)
    assert found.gaussians["features"].count == 300
    assert torch.equal(found.gaussians["features"].mean, gaussian.mean)
    assert frechet_distance(found.gaussians["features"], gaussian).distance == pytest.approx(0, abs=1e-9)
    with np.load(path) as file:  # as pytorch-fid, EDM and guided-diffusion do: without pickle
        assert np.array_equal(file["mu"][:], gaussian.mean.numpy())
        assert np.allclose(file["sigma"][:], gaussian.covariance.numpy(), rtol=1e-14)


def test_the_fingerprint_is_that_of_the_numbers(extractor, tmp_path):
    def printed(name: str, **arrays: np.ndarray) -> str:
        np.savez(tmp_path / name, **arrays)  # pyright: ignore[reportArgumentType]
        return open_statistics(tmp_path / name).fingerprint

    first = printed("a.npz", mu=MU, sigma=SIGMA)
    assert first == printed("b.npz", sigma=SIGMA, mu=MU, arr_0=np.zeros((1, 2, 2, 3), np.uint8))
    save_statistics(
        tmp_path / "c.npz", {"features": Gaussian(torch.from_numpy(MU), torch.from_numpy(SIGMA), 50)}, extractor
    )
    assert first == open_statistics(tmp_path / "c.npz").fingerprint
    moved = SIGMA.copy()
    moved[2, 2] *= 1 + 1e-15
    others = [
        printed("d.npz", mu=MU + 1e-15, sigma=SIGMA),
        printed("e.npz", mu=MU, sigma=moved),
        printed("f.npz", mu=MU, sigma=SIGMA, mu_s=MU_S, sigma_s=SIGMA_S),
    ]
    assert len({first, *others}) == 4


def error(path: Path, extractor: FeatureExtractor | None = None) -> str:
    with pytest.raises(DataError) as caught:
        open_statistics(path, extractor)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(values: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    values = values.copy()
    values[place] = value
    return values


NEGATIVE = SIGMA - 2 * np.linalg.eigvalsh(SIGMA)[-1] * np.eye(D)


@pytest.mark.parametrize(
    ("arrays", "messages"),
    [
        ({"mu": MU, "sigma": SIGMA[:5]}, ["mu has the shape [6]", "sigma [5, 6]"]),
        ({"mu": MU[None], "sigma": SIGMA}, ["[1, 6]"]),
        ({"mu": MU[:0], "sigma": SIGMA[:0, :0]}, ["expected [D] and [D, D]"]),
        ({"mu": changed(MU, (3,), np.nan), "sigma": SIGMA}, ["mu[3] is nan"]),
        ({"mu": MU, "sigma": changed(SIGMA, (1, 2), np.inf)}, ["sigma[1, 2] is inf"]),
        ({"mu": MU, "sigma": changed(SIGMA, (1, 2), SIGMA[1, 2] + 0.01)}, ["sigma is not symmetric"]),
        ({"mu": MU, "sigma": NEGATIVE}, ["sigma has the eigenvalues -"]),
        ({"mu": MU, "sigma": changed(np.eye(D), (0, 0), -1e-4)}, ["sigma has the eigenvalues -0.0001"]),
        ({"mu": MU.astype(object), "sigma": SIGMA}, ["mu holds pickled objects"]),
        ({"mu": MU, "sigma": np.eye(D, dtype=int)}, ["sigma holds int64"]),
        ({"mu": MU, "sigma": SIGMA, "mu_s": MU_S}, ["only one of mu_s and sigma_s"]),
        ({"mu": MU, "sigma": SIGMA, "mu_s": MU_S, "sigma_s": SIGMA_S[:2]}, ["sigma_s [2, 4]"]),
        ({"mean": MU, "cov": SIGMA}, ["mean, cov", "mu and sigma"]),
        ({"arr_0": np.zeros((2, 8, 8, 3), np.uint8)}, ["an npz of images; expected an npz of statistics"]),
    ],
)
def test_a_broken_file_is_refused(arrays, messages, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    found = error(tmp_path / "a.npz")
    assert "a.npz" in found
    assert not [message for message in messages if message not in found], found


def test_rounding_is_no_damage(tmp_path):
    """A singular covariance (fewer images than dimensions), computed in float32, has eigenvalues a little below 0."""
    few = np.random.default_rng(3).standard_normal((20, 200)).astype(np.float32)
    sigma = np.cov(few, rowvar=False, dtype=np.float32)
    assert np.linalg.eigvalsh(sigma.astype(np.float64))[0] < 0
    np.savez(tmp_path / "a.npz", mu=few.mean(0), sigma=sigma)
    assert open_statistics(tmp_path / "a.npz").gaussians["features"].mean.shape == (200,)


def test_statistics_of_another_extractor_are_refused(extractor, tmp_path):
    width = extractor.identity.dimension
    np.savez(tmp_path / "a.npz", mu=MU, sigma=SIGMA)
    found = error(tmp_path / "a.npz", extractor)
    assert f"mu has {D} dimensions, but features of digits have {width}" in found
    np.savez(
        tmp_path / "b.npz", mu=np.zeros(width), sigma=np.eye(width), extractor="digits", extractor_fingerprint="0" * 16
    )
    found = error(tmp_path / "b.npz", extractor)
    assert f"made with digits {'0' * 16}, not with digits {extractor.fingerprint}" in found
    np.savez(tmp_path / "c.npz", mu=np.zeros(width), sigma=np.eye(width))
    assert open_statistics(tmp_path / "c.npz", extractor).extractor is None


def test_what_is_no_npz_says_what_to_do(tmp_path):
    (tmp_path / "img64.pkl").touch()
    assert "numpy.savez(file, mu=..., sigma=...)" in error(tmp_path / "img64.pkl")
    np.savez(tmp_path / "cifar10.npz", mu=MU, sigma=SIGMA)
    assert f"did you mean {tmp_path / 'cifar10.npz'}" in error(tmp_path / "cifar_10.npz")
    whole = (tmp_path / "cifar10.npz").read_bytes()
    (tmp_path / "cifar10.npz").write_bytes(whole[:300])
    assert "cifar10.npz cannot be read" in error(tmp_path / "cifar10.npz")


def test_only_whole_and_known_statistics_are_saved(extractor, tmp_path):
    gaussian = Gaussian(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64), 5)
    for path, columns in (("a.npy", ["features"]), ("a.npz", ["spatial"]), ("a.npz", ["features", "logits"])):
        with pytest.raises(ValueError, match="statistics"):
            save_statistics(tmp_path / path, dict.fromkeys(columns, gaussian), extractor)
    (tmp_path / "taken.npz").mkdir()
    with pytest.raises(OSError):
        save_statistics(tmp_path / "taken.npz", {"features": gaussian}, extractor)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.npz"]
