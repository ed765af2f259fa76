"""What an enlarged image is drawn for; and a Gaussian for which the best enlargement is known.

x_0 ~ N(0, C) has 4 x 4 pixels, C having a part that pixels of a 2 x 2 block share; the small image is l = A x_0, the means of the blocks:

    x_0 | l        ~ N(m, S),     m = C A' (A C A')^-1 l,   S = C - C A' (A C A')^-1 A C
    E[x_0 | x_t, l] = m + alpha S (alpha^2 S + sigma^2 1)^-1 (x_t - alpha m)
"""

import pytest
import torch
from torch import Tensor, nn

from difflab.conditioning import LowResolution
from difflab.conditioning.augmentations import AddedNoise, Unchanged
from difflab.conditioning.shrinks import Area
from difflab.data.dataset import LabelledSource, of_class
from difflab.denoiser import Denoiser
from difflab.networks import Network
from difflab.noise import ImageNoise
from difflab.objectives import Simple
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import X0
from difflab.samplers import DDPM, draw
from difflab.samplers.grids import UniformGrid
from difflab.sampling import Drawing, OfData, Several
from difflab.sampling.conditions import default_for, with_words
from difflab.schedules import Tabulated, cosine
from difflab.training.callbacks import ObjectiveCallback
from difflab.types import Condition, GivenImage, Label, Prediction
from difflab.variances import FixedSmall
from tiny import losses_of

BLOCK = torch.arange(16).reshape(4, 4)
OF = (BLOCK // 4 // 2) * 2 + BLOCK % 4 // 2
A = torch.stack([(OF.flatten() == k).double() / 4 for k in range(4)])
C = 0.09 * (OF.flatten()[:, None] == OF.flatten()).double() + 0.03 * torch.eye(16).double() + 0.04
GAIN = C @ A.T @ torch.linalg.inv(A @ C @ A.T)
S = C - GAIN @ A @ C
LOW = LowResolution(2, Area(), Unchanged(), channels=1)


def best(x_t: Tensor, alpha: Tensor, sigma: Tensor, small: Tensor) -> Tensor:
    """E[x_0 | x_t, l], [B, 16], at one time."""
    m = small.flatten(1).double() @ GAIN.T
    step = alpha * S @ torch.linalg.inv(alpha**2 * S + sigma**2 * torch.eye(16).double())
    return m + (x_t.flatten(1).double() - alpha * m) @ step.T


def draws(count: int, seed: int = 0) -> Tensor:
    z = torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)).double()
    return (z @ torch.linalg.cholesky(C).T).reshape(count, 1, 4, 4)


class Floats:
    """A LabelledSource of images that are no pixels."""

    fingerprint = "floats"

    def __init__(self, images: Tensor, labels: Tensor | None = None):
        self._images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self._images)

    def images(self, indices) -> Tensor:
        return self._images[torch.as_tensor(indices)]

    def condition(self, indices) -> Condition:
        return of_class(self.labels, torch.as_tensor(indices))


class InOrder(OfData):
    """The images as they stand."""

    def open_source(self) -> LabelledSource:
        assert self.drawing.data is not None
        return self.drawing.data()


def test_the_best_denoiser_draws_the_posterior_of_each_small_image():
    """Mean and covariance of many enlargements of two images, and every one of them shrinks to what was given."""
    schedule, originals = cosine(200), draws(2).float()

    def denoise(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
        alpha, sigma = schedule(t[:1])
        assert GivenImage.of(cond) is not None
        return Prediction(best(x_t, alpha, sigma, GivenImage.of(cond).values).reshape(x_t.shape).to(x_t.dtype))

    conditions = drawn_for(originals, None, LOW, size=4)
    seeds = torch.arange(4000)  # even seeds are drawn for image 0, odd ones for image 1
    images = draw(
        denoise, schedule, DDPM(UniformGrid(200), FixedSmall()), (1, 4, 4), seeds, conditions(seeds), torch.float64
    )
    small = LOW.small(originals).double()
    assert (LOW.small(images) - small[seeds % 2]).abs().max() < 1e-4
    for i in range(2):
        mine = images[i::2].flatten(1)
        expected = small[i].flatten() @ GAIN.T
        assert (mine.mean(dim=0) - expected).abs().max() < 4 * (S.diagonal().max() / 2000) ** 0.5
        torch.testing.assert_close(torch.cov(mine.T), S, atol=0.004, rtol=0.05)
    assert (expected - small[0].flatten() @ GAIN.T).abs().max() > 0.1  # the two images are told apart


class Linear(Network):
    """x_0 from (x_t, l) by one matrix."""

    def __init__(self):
        super().__init__()
        self.in_channels = self.out_channels = self.condition_channels = 1
        self.image_size = 4
        self.both = nn.Linear(20, 16, bias=False)
        nn.init.zeros_(self.both.weight)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        assert GivenImage.of(cond) is not None
        return self.both(torch.cat([x.flatten(1), GivenImage.of(cond).values.flatten(1)], dim=1)).reshape(x.shape)


def test_training_finds_the_best_denoiser():
    """A chain of a single step: one time, hence one matrix."""
    schedule = Tabulated([0.5])
    denoiser = Denoiser(Linear(), schedule, X0(), FixedSmall())
    objective = ObjectiveCallback(Simple(Uniform(), Unweighted()), 10, conditionings={"low_resolution": LOW})
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=0.03)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    for step in range(250):
        number = torch.arange(256) + 256 * step
        losses = losses_of(objective, denoiser, draws(256, step).float(), Condition(), ImageNoise(0, number))
        optimizer.zero_grad()
        losses.total.mean().backward()
        optimizer.step()
        decay.step()
    x_0 = draws(2000, seed=-1).float()
    alpha, sigma = schedule(torch.ones(1, dtype=torch.float64))
    x_t = alpha.item() * x_0 + sigma.item() * torch.randn(x_0.shape, generator=torch.Generator().manual_seed(5))
    cond = LOW(Condition(), x_0, ImageNoise(0, torch.arange(2000)))
    with torch.no_grad():
        learned = denoiser(x_t, torch.ones(2000, dtype=torch.float64), cond).x0.flatten(1).double()
    assert GivenImage.of(cond) is not None
    optimum = best(x_t, alpha, sigma, GivenImage.of(cond).values)
    blind = x_t.flatten(1).double() @ (alpha * C @ torch.linalg.inv(alpha**2 * C + sigma**2 * torch.eye(16).double())).T
    away = (learned - optimum).square().mean()
    assert away < 0.02 * (blind - optimum).square().mean()  # what the small image tells is worth fifty times more


PIXELS = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, 4, 1, 5])


def drawn_for(
    pixels: Tensor = PIXELS,
    labels: Tensor | None = LABELS,
    low: LowResolution | None = None,
    size: int = 8,
    first_seed: int = 0,
    classes: int | None = None,
) -> Several:
    """For the given images, and their classes, of a model that is told both."""
    low = low or LowResolution(4, Area(), Unchanged(), 1)
    known, told = (10, ("label", "image")) if labels is not None or classes is not None else (0, ("image",))
    source = Floats(pixels, labels)
    drawing = Drawing((1, size, size), known, told, {"low": low}, lambda: source, first_seed)
    parts = {**default_for(drawing), "of_data": InOrder()}
    return Several(with_words(parts, classes)).prepare(drawing)


def test_image_i_is_drawn_for_given_image_i_and_its_class():
    cond = drawn_for(first_seed=100)(torch.tensor([102, 100, 106]))
    assert Label.of(cond) is not None
    assert GivenImage.of(cond) is not None
    assert Label.of(cond).number.tolist() == [4, 3, 1]  # the sixth is the first again after five
    x = PIXELS[[2, 0, 1]].float() / 127.5 - 1
    torch.testing.assert_close(GivenImage.of(cond).values, x.reshape(3, 1, 4, 2, 4, 2).mean(dim=(3, 5)))
    assert GivenImage.of(cond).level is None
    chosen = drawn_for(first_seed=100, classes=7)(torch.tensor([102, 100]))
    assert "label" in chosen
    assert chosen["label"].number.tolist() == [7, 7]


def test_small_images_are_taken_as_they_are():
    small = PIXELS[:, :, ::2, ::2]
    conditions = drawn_for(small, None)
    cond = conditions(torch.arange(5))
    assert GivenImage.of(cond) is not None
    torch.testing.assert_close(GivenImage.of(cond).values, small.float() / 127.5 - 1)
    assert conditions.pairs is not None
    assert not conditions.pairs.has_originals
    assert conditions.shown(PIXELS, torch.arange(5)).shape == (5, 1, 8, 16)


def test_the_noise_on_a_given_image_belongs_to_the_seed():
    conditions = drawn_for(low=LowResolution(4, Area(), AddedNoise(0.5, 0.3), 1))
    whole = conditions(torch.arange(10))
    part = conditions(torch.tensor([7, 2]))
    assert torch.equal(GivenImage.of(part).values, GivenImage.of(whole).values[[7, 2]])
    assert not torch.equal(GivenImage.of(whole).values[2], GivenImage.of(whole).values[7])
    assert (GivenImage.of(whole).level == 0.3).all()


def test_a_picture_shows_small_image_result_and_original():
    seeds = torch.tensor([1, 4])
    shown = drawn_for().shown(255 - PIXELS[seeds], seeds)
    small, result, original = shown.split(8, dim=3)
    assert torch.equal(result, 255 - PIXELS[seeds])
    assert torch.equal(original, PIXELS[seeds])
    mean = PIXELS[seeds].float().reshape(2, 1, 4, 2, 4, 2).mean(dim=(3, 5))
    assert (small[:, :, ::2, ::2].float() - mean).abs().max() <= 0.51
    assert torch.equal(small[:, :, ::2, ::2], small[:, :, 1::2, 1::2])


def test_the_protocol_names_the_images_and_how_they_were_made_small():
    fields = drawn_for().fields
    assert fields["classes"] == "of the given images"
    assert fields["low_resolution"]["fingerprint"] == "floats"
    assert fields["low_resolution"]["shrink"] == "Area"
    noised = drawn_for(low=LowResolution(4, Area(), AddedNoise(0.5, 0.3), 1)).fields
    assert noised["low_resolution"]["noise"] == "level 0.3"


def without_labels() -> Several:
    """A model that is told classes, and images that have none."""
    source, low = Floats(PIXELS), LowResolution(4, Area(), Unchanged(), 1)
    drawing = Drawing((1, 8, 8), 10, ("label", "image"), {"low": low}, lambda: source)
    return Several({**default_for(drawing), "of_data": InOrder()}).prepare(drawing)


def test_images_of_another_size_and_missing_classes_are_refused():
    with pytest.raises(ValueError, match=r"1x6x6; this model upsamples images of 1x4x4, or makes originals of 1x8x8"):
        drawn_for(PIXELS[:, :, :6, :6])(torch.arange(2))
    with pytest.raises(ValueError, match="these images have none: give classes=3"):
        without_labels()(torch.arange(2))
