"""guided-diffusion's `condition_score` and whole DDIM loops under it. float32 to 1e-5."""

from math import sqrt

import torch
from ddim_rounding import float32_difference
from feeds import RecipeClassifier, StepNoise
from guided import difference
from guided_loops import ARRAYS, COND, FACTS, X_T, Y, with_classifier
from recipes import cond_fn

from difflab.guidance import ClassifierGuidance, Clip, chained
from difflab.process import eps_from_x0, posterior_mean
from difflab.samplers import DDIM
from difflab.schedules import Chain, NoiseSchedule
from one_pass import each


def test_the_classifiers_gradient_is_that_of_the_recipes():
    time = torch.tensor([3.0, 500.0, 999.0])
    x_t = X_T.clone().requires_grad_()
    log_p = torch.log_softmax(RecipeClassifier(lambda t: t)(x_t, time), dim=1).gather(1, Y[:, None])
    (found,) = torch.autograd.grad(log_p.sum(), x_t)
    torch.testing.assert_close(found, cond_fn(X_T, time, Y), rtol=1e-6, atol=1e-6)


LOOPS = sorted(
    key.rsplit("/", 1)
    for key in ARRAYS.files
    if key.endswith(("/ddim_eta0_cond", "/ddim_eta0.5_cond")) and "rescale" in key
)


@torch.no_grad()
def with_their_last_noise(denoise, sampler: DDIM, schedule: NoiseSchedule, noise: StepNoise):
    """The sample if in the last image but one a number is the peer's.

    It takes sqrt(1 - alpha_bar - v) in float32, and where alpha_bar is almost 1 keeps three digits of it (6.4e-3 at cosine's first time).
    eps, by which it is multiplied, is 12,000 under this guidance.
    """
    chain = Chain(schedule, sampler.grid(schedule))
    steps = [step.x_s for step in sampler.trajectory(denoise, schedule, X_T, COND, noise)]
    second, first = (torch.full((len(X_T),), i) for i in (2, 1))
    x_t, x_s = steps[-3], steps[-2]
    eps = eps_from_x0(x_t, denoise(x_t, chain.times[second], COND).x0, chain[second])
    before, now = (float(chain.level.alpha[i].square()) for i in (1, 2))
    exact = (chain.level.sigma[1] ** 2 - sampler.eta**2 * chain.transition(second).posterior_var[0]).sqrt()
    x_s = x_s + (sqrt(float32_difference(before, now, sampler.eta)) - exact) * eps
    return denoise(x_s, chain.times[first], COND).x0


@each(("name", "tag"), LOOPS)
def test_loop(name, tag):
    """The peer clips before it guides, and does not clip again."""
    denoiser, grid, classify = with_classifier(name)
    schedule, eta = denoiser.schedule, float(tag.removeprefix("ddim_eta").removesuffix("_cond"))
    guided = chained([Clip(), ClassifierGuidance(classify, schedule, 2.0)], denoiser)
    sampler, steps = DDIM(grid, eta=eta), len(Chain(schedule, grid(schedule)))
    noise = StepNoise(FACTS["loop_noise"][f"{name}/{tag}"]["seed"], len(X_T), steps)
    golden = ARRAYS[f"{name}/{tag}"][None]
    forgets = "EPSILON" in name or name.startswith("linear")  # what is clipped at the end, or was not so large before
    assert difference(sampler(guided, schedule, X_T, COND, noise)[None], golden) < (1e-5 if forgets else 3e-4)
    assert difference(with_their_last_noise(guided, sampler, schedule, noise)[None], golden) < 1e-5


POINTS = sorted(
    key.split("/condition_score/t=") for key in ARRAYS.files if key.endswith("pred_xstart") and "condition_score" in key
)


@each(("process", "rest"), POINTS)
def test_one_step(process, rest):
    """Step i of the respaced chain, i being the peer's; the mean is that of the posterior with the guided x_0."""
    step = int(rest.split("/")[0]) + 1
    matches = []
    for clip in ([], [Clip()]):  # the golden numbers do not name it
        denoiser, grid, classify = with_classifier(f"{process}/EPSILON/LEARNED_RANGE/rescale=0")
        chain = Chain(denoiser.schedule, grid(denoiser.schedule))
        index = torch.full((len(X_T),), step)
        guided = chained([*clip, ClassifierGuidance(classify, denoiser.schedule, 2.0)], denoiser)
        with torch.no_grad():
            x_0 = guided(X_T, chain.times[index], COND).x0
        mean = posterior_mean(chain.transition(index), x_0, X_T)
        key = f"{process}/condition_score/t={step - 1}"
        matches.append(max(difference(x_0, ARRAYS[f"{key}/pred_xstart"]), difference(mean, ARRAYS[f"{key}/mean"])))
    assert min(matches) < 1e-5
