"""A cascade of exact models of Gaussian data: what comes out of the end has the moments of the data."""

import pytest
import torch
from torch import Tensor

from difflab.conditioning import LowResolution
from difflab.conditioning.augmentations import AddedNoise, Augmentation, Unchanged
from difflab.conditioning.shrinks import Area
from difflab.features import to_uint8
from difflab.metrics import Protocol
from difflab.noise import ImageNoise
from difflab.runtime.progress import Progress
from difflab.samplers import Heun, draw
from difflab.samplers.grids import KarrasGrid
from difflab.sampling import Drawing, InTurn, OfStage, SampleSet, ShardFolder, Shards, draw_missing
from difflab.schedules import EDM
from difflab.types import Condition, GivenImage, Prediction

COUNT, BATCH = 16_000, 2000
SMALL, LARGE = (1, 2, 2), (1, 4, 4)
SCHEDULE = EDM(sigma_max=40.0)
SAMPLER = Heun(KarrasGrid(80, sigma_min=0.005, sigma_max=40.0))


def area() -> Tensor:
    """[4, 16]: the means over 2 x 2 pixels as a matrix."""
    pixels = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    return Area()(pixels, 2).reshape(16, 4).T


def gaussian() -> tuple[Tensor, Tensor]:
    """Mean [16] and covariance [16, 16] of the data, well inside of [-1, 1]."""
    mixing = ImageNoise(5, torch.arange(1)).normal("mixing", (16, 16))[0] / 4
    mean = 0.2 * ImageNoise(5, torch.arange(1)).normal("mean", (16,))[0]
    return mean, 0.1**2 * (mixing @ mixing.T + 0.2 * torch.eye(16, dtype=torch.float64))


class Exact:
    """E[x_0 | x_t, small image] of N(mean, covariance), where the small image is `shrink` x_0 + level eps (none if `shrink` is None)."""

    def __init__(self, mean: Tensor, covariance: Tensor, shrink: Tensor | None = None):
        self.mean, self.covariance, self.shrink = mean, covariance, shrink

    def __call__(self, x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        (alpha,), (sigma,) = (part.unique() for part in SCHEDULE(t))
        mean, covariance = self.mean.expand(len(x_t), -1), self.covariance
        if self.shrink is not None:
            assert GivenImage.of(cond) is not None
            level = 0.0 if GivenImage.of(cond).level is None else float(GivenImage.of(cond).level[0])
            of_small = self.shrink @ covariance @ self.shrink.T + level**2 * torch.eye(4, dtype=torch.float64)
            gain = torch.linalg.solve(of_small, self.shrink @ covariance).T
            mean = mean + (GivenImage.of(cond).values.double().flatten(1) - mean @ self.shrink.T) @ gain.T
            covariance = covariance - gain @ self.shrink @ covariance
        noised = alpha**2 * covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64)
        back = torch.linalg.solve(noised, alpha * covariance)
        x_0 = mean + (x_t.double().flatten(1) - alpha * mean) @ back
        return Prediction(x_0.reshape(x_t.shape).to(x_t.dtype))


def drawn(path, denoise: Exact, shape: tuple[int, int, int], conditions) -> ShardFolder:
    """A stage as the commands draw one: uint8 images in shards."""
    folder = SampleSet(path, Protocol.of({"shape": list(shape)}), BATCH)

    def batch(seeds: Tensor, cond: Condition) -> Tensor:
        return to_uint8(draw(denoise, SCHEDULE, SAMPLER, shape, seeds, cond))

    nothing = Progress(shown=False)
    draw_missing(folder, COUNT, 0, conditions, batch, torch.device("cpu"), lambda: False, nothing)
    folder.end()
    return folder.shards


def pixels(shards: ShardFolder) -> Tensor:
    """[N, D] in [-1, 1]."""
    return Shards(shards, COUNT).images(range(COUNT)).double().flatten(1) / 127.5 - 1


@pytest.mark.parametrize(
    "augmentation", [Unchanged(), AddedNoise(max_level=0.5, level=0.05)], ids=["unchanged", "noised"]
)
def test_the_end_of_a_cascade_of_exact_models_has_the_moments_of_the_data(tmp_path, augmentation: Augmentation):
    mean, covariance = gaussian()
    shrink = area()
    base = Exact(shrink @ mean, shrink @ covariance @ shrink.T)
    small = drawn(tmp_path / "base", base, SMALL, InTurn().prepare(Drawing(SMALL)))
    low_resolution = LowResolution(2, Area(), augmentation, 1)
    drawing = Drawing(LARGE, told=("image",), conditionings={"low_resolution": low_resolution})
    stage = OfStage(lambda: Shards(small, COUNT), has_labels=False).prepare(drawing)
    found = pixels(drawn(tmp_path / "end", Exact(mean, covariance, shrink), LARGE, stage))

    deviation = covariance.diagonal().sqrt()
    assert ((found.mean(0) - mean).abs() < 4.5 * deviation / COUNT**0.5 + 2e-3).all()
    error = torch.cov(found.T) - covariance
    scale = (
        covariance.diagonal()[:, None] * covariance.diagonal() + covariance**2
    ).sqrt()  # of an estimate: scale / sqrt(N)
    assert (error.abs() < 4.5 * scale / COUNT**0.5 + 0.015 * deviation[:, None] * deviation).all()

    before = pixels(small)
    made_small = found @ shrink.T
    if isinstance(augmentation, Unchanged):
        assert (made_small - before).abs().max() < 0.03, "each image is that of its seed, enlarged"
    else:
        together = torch.corrcoef(torch.cat([made_small.T, before.T]))[:4, 4:].diagonal()
        assert (together > 0.3).all()
        assert (together < 0.99).all()


def test_a_stage_has_noise_of_its_own():
    """The same seed draws in all stages: were their noise the same, an enlarged image would go with the small one's noise."""
    seeds = torch.arange(4000)

    def starts(shape: tuple[int, int, int], cond: Condition) -> Tensor:
        """[D, 4000]: what the first step sees."""
        seen = []

        def nothing(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            seen.append(x_t)
            return Prediction(torch.zeros_like(x_t))

        draw(nothing, SCHEDULE, SAMPLER, shape, seeds, cond)
        return seen[0].flatten(1)[:, :4].T

    small, large = starts(SMALL, Condition()), starts(LARGE, Condition(image=GivenImage(torch.zeros(4000, 1, 2, 2))))
    by_itself = starts(LARGE, Condition())
    assert torch.corrcoef(torch.cat([small, by_itself]))[:4, 4:].abs().max() > 0.3, (
        "models that draw from noise alone share it"
    )
    assert torch.corrcoef(torch.cat([small, large]))[:4, 4:].abs().max() < 0.06
