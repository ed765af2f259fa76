"""OpenAI's weights in our denoiser, sampled, trained and differentiated as their scripts do it (tests/golden/unet.npz, e2e/*)."""

import pytest
import torch
from feeds import FixedTimes, RecipeClassifier, StepNoise, SuppliedNoise
from openai_numbers import NUMBERS, network_of, stored
from recipes import rs_images, rs_randn

from difflab.classifier import NoisyClassifier
from difflab.denoiser import Denoiser
from difflab.guidance import Clip, MeanShiftAtImage, chained
from difflab.guidance.classifier import class_log_probability
from difflab.guidance.guidance import gradient
from difflab.networks import Encoder
from difflab.objectives import Simple, bound_term
from difflab.objectives.weightings import Unweighted
from difflab.parameterizations import Epsilon
from difflab.process import perturb
from difflab.samplers import DDIM, DDPM
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, cosine, linear
from difflab.types import Condition, Label
from difflab.variances import LearnedRange

CASES = sorted({key.rsplit("/", 1)[0] for key in NUMBERS.files if key.startswith("e2e/") and "training" not in key})
SAMPLERS = {
    "ddim": lambda grid: DDIM(grid),
    "ddim_eta0.5": lambda grid: DDIM(grid, eta=0.5),
    "ddpm": lambda grid: DDPM(grid, LearnedRange()),
}


def parts(case):
    """(denoiser, grid, condition of two images)."""
    _, name, process = case.split("/")
    kind, steps = process.split("|")
    schedule = {"linear": linear, "cosine": cosine}[kind](1000)
    denoiser = Denoiser(network_of(name).network, schedule, Epsilon(), LearnedRange())
    return denoiser, UniformGrid(steps), Condition(label=Label(torch.tensor([1, 9]))) if "cls" in name else Condition()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("case", CASES)
def test_samples_are_openais(case, sampler):
    denoiser, grid, cond = parts(case)
    x_T = torch.from_numpy(rs_randn(111, 2, 3, 16, 16))
    noise = StepNoise(53000, batch=2, steps=len(grid(denoiser.schedule)) - 1)
    x_0 = SAMPLERS[sampler](grid)(Clip()(denoiser), denoiser.schedule, x_T, cond, noise)
    torch.testing.assert_close(x_0, stored(case, sampler), atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_losses_are_openais(case):
    """At the first and the last step of the respaced process."""
    denoiser, grid, cond = parts(case)
    chain = Chain(denoiser.schedule, grid(denoiser.schedule))
    i = torch.tensor([1, len(chain)])
    x_0, eps = torch.from_numpy(rs_images(112, 2, 3, 16, 16)), torch.from_numpy(rs_randn(113, 2, 3, 16, 16))
    simple = Simple(FixedTimes(chain.times[i]), Unweighted())(denoiser, x_0, cond, SuppliedNoise({"eps": eps}))
    torch.testing.assert_close(simple.total, stored(f"{case}/training_losses", "mse"), atol=1e-5, rtol=1e-5)
    x_t = perturb(x_0, eps, chain[i])
    with torch.no_grad():
        bound = bound_term(x_0, x_t, denoiser(x_t, chain.times[i], cond), denoiser.variance, chain, i)
    # OpenAI's rescaled loss weighs the term with T / 1000, which is the hybrid objective's lambda times T
    rescaled = bound * len(chain) / 1000
    torch.testing.assert_close(rescaled, stored(f"{case}/training_losses", "vb"), atol=1e-5, rtol=5e-4)


def test_classifier_gradient_is_openais():
    """Twice the gradient of log p(y | x_t), as classifier guidance of scale 2 uses it."""
    classifier = network_of("e01_attention")
    x = torch.from_numpy(rs_randn(121, 3, 3, 16, 16)).requires_grad_()
    log_p = classifier(x, stored("classifier_grad", "t").double()).log_softmax(dim=1)
    (gradient,) = torch.autograd.grad(2 * log_p[range(3), [0, 4, 9]].sum(), x)
    torch.testing.assert_close(gradient, stored("classifier_grad", "e01_attention/grad*2.0"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_samples_guided_by_a_shift_of_the_mean_are_openais(case):
    """The recipes' cond_fn in place of a classifier's gradient, which without classes is that of class 0."""
    denoiser, grid, cond = parts(case)
    label = torch.zeros(2, dtype=torch.long) if Label.of(cond) is None else Label.of(cond).number
    classify = RecipeClassifier(lambda t: (t * 1000).round() - 1)
    shift = MeanShiftAtImage(classify, denoiser.schedule, grid, LearnedRange(), 2.0)
    noise = StepNoise(53000, batch=2, steps=len(grid(denoiser.schedule)) - 1)
    guided = chained([Clip(), shift], denoiser)
    x_T = torch.from_numpy(rs_randn(111, 2, 3, 16, 16))
    x_0 = DDPM(grid, LearnedRange())(guided, denoiser.schedule, x_T, Condition(label=Label(label)), noise)
    torch.testing.assert_close(x_0, stored(case, "ddpm_cond"), atol=5e-5, rtol=1e-5)


def test_the_noisy_classifier_is_openais():
    """Through the schedule's own times, and with the gradient that guides."""
    network, told = network_of("e01_attention").network, stored("classifier_grad", "t")
    assert isinstance(network, Encoder)
    assert told is not None
    classifier = NoisyClassifier(network, linear(1000), Epsilon())
    t = (told.double() + 1) / 1000
    cond = Condition(label=Label(torch.tensor([0, 4, 9])))
    x = torch.from_numpy(rs_randn(121, 3, 3, 16, 16))
    found = gradient(lambda image: class_log_probability(classifier, image, t, cond), x)
    torch.testing.assert_close(2 * found, stored("classifier_grad", "e01_attention/grad*2.0"), atol=1e-5, rtol=1e-5)
