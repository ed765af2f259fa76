"""The benchmark of FID: every project that is installed has the same network with the same weights, and gives the same distance."""

from pathlib import Path

import pytest
import torch
from benchmarks.evaluation import ALONE, _installed, measure, random_gaussian
from benchmarks.fid_projects import PROJECTS, Task, random_weights
from benchmarks.settings import Settings
from torch.utils.flop_counter import FlopCounterMode

from difflab.metrics import Gaussian

CPU = torch.device("cpu")
INSTALLED = _installed()
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the .* dimensions")


def test_quick_measures_every_installed_project(tmp_path):
    features, distance = measure(Settings(rounds=1, quick=True, device=CPU, scratch=tmp_path))
    assert set(features.values) == {*INSTALLED, ALONE}
    assert set(distance.values) == set(INSTALLED) - ({"clean-fid"} if "pytorch-fid" in INSTALLED else set())
    assert all(value > 0 for m in (features, distance) for values in m.values.values() for value in values)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, tuple[Gaussian, int]]:
    """Project -> moments and FLOPs of two images that have the network's size, so that no resize plays a part."""
    folder = tmp_path_factory.mktemp("fid")
    random_weights(folder / "weights.pth")
    low = torch.randint(0, 256, (2, 3, 13, 13), generator=torch.Generator().manual_seed(1)).float()
    images = torch.nn.functional.interpolate(low, (299, 299), mode="bicubic").clamp(0, 255).to(torch.uint8)
    return {name: _moments(name, Task(images, folder, Path(folder / "weights.pth"), 2, CPU)) for name in INSTALLED}


def _moments(name: str, task: Task) -> tuple[Gaussian, int]:
    project = PROJECTS[name](task)
    with FlopCounterMode(display=False) as counter:
        gaussian = project.gaussian()
    return gaussian, counter.get_total_flops()


def test_all_have_the_same_network(found):
    ours, flops = found["difflab"]
    assert flops == pytest.approx(2 * 11.4e9, rel=0.02)  # of InceptionV3 at 299, two images
    for name, (theirs, their_flops) in found.items():
        assert their_flops == pytest.approx(flops, rel=3e-3), name  # a logit more, a product of features less
        # pytorch-fid and clean-fid scale bytes to 2 u / 255 - 1 instead of (u - 128) / 128
        exact = name not in ("pytorch-fid", "clean-fid")
        apart = (theirs.mean - ours.mean).norm() / ours.mean.norm()
        assert apart < (1e-5 if exact else 0.02), name
        assert theirs.count == ours.count == 2
        if exact:
            assert (theirs.covariance - ours.covariance).norm() < 1e-4 * ours.covariance.norm(), name


def test_all_give_the_same_distance():
    gaussians = [random_gaussian(48, seed, CPU) for seed in (0, 1)]
    expected = PROJECTS["difflab"].distance(*gaussians)
    assert expected > 0
    for name in INSTALLED:
        assert PROJECTS[name].distance(*gaussians) == pytest.approx(expected, rel=1e-7), name
