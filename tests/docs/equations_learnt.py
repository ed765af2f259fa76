"""Noise goes in, and what is learnt of it: each equation evaluated in another way than difflab does, and compared with it."""

import math

import torch
from equations import (
    ALPHA_BARS,
    BETAS,
    COSINE,
    IMAGES,
    LINEAR,
    MIXTURE,
    NOBODY,
    NOISE,
    X_0,
    Answers,
    at,
    close,
    evaluates,
    normal,
    times,
)
from torch.distributions import Normal, kl_divergence

from difflab.data import GaussianMixture
from difflab.denoiser import Denoiser
from difflab.noise import ImageNoise
from difflab.objectives import Hybrid, Simple, bound_steps, bound_term, prior_bits
from difflab.objectives.time_samplers import Uniform
from difflab.objectives.weightings import SNR, MinSNR, TruncatedSNR, Unweighted
from difflab.parameterizations import EDM, X0, Epsilon, FlowVelocity, Velocity
from difflab.process import (
    discretized_normal_log_likelihood,
    eps_from_x0,
    perturb,
    posterior_mean,
    snr,
    transition,
    x0_from_eps,
)
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, CosinePath, LinearPath, cosine, linear, own_chain
from difflab.types import AlphaSigma, Prediction
from difflab.variances import FixedSmall, LearnedRange


@evaluates("Forward step")
def forward_step() -> None:
    chain = own_chain(LINEAR)
    steps = chain.transition(torch.arange(1, 1001))
    close(steps.alpha_ts, (1 - BETAS).sqrt())
    close(steps.var_ts, BETAS)
    s, r, t = (at(COSINE, time) for time in (0.2, 0.35, 0.8))
    first, second, both = transition(s, r), transition(r, t), transition(s, t)
    close(first.alpha_ts * second.alpha_ts, both.alpha_ts)
    close(second.alpha_ts**2 * first.var_ts + second.var_ts, both.var_ts)


@evaluates("Closed form")
def closed_form() -> None:
    """Steps taken one by one with noise of their own end where one step with their sum does."""
    short = linear(50)
    x, sum_of_noise = X_0, torch.zeros_like(X_0)
    for i, beta in enumerate(short.betas):
        eps = NOISE.normal("one step", MIXTURE.shape, step=i)
        x = (1 - beta).sqrt() * x + beta.sqrt() * eps
        sum_of_noise = (1 - beta).sqrt() * sum_of_noise + beta.sqrt() * eps
    level = at(short, 1.0)
    close(x, perturb(X_0, sum_of_noise / float(level.sigma[0]), level))
    power, mean = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for beta in short.betas:
        mean, power = (1 - beta).sqrt() * mean, (1 - beta) * power + beta
    close(level.alpha, mean)
    close(level.sigma**2, power)


@evaluates("Signal-to-noise ratio")
def signal_to_noise() -> None:
    ratio = snr(LINEAR(torch.arange(1, 1001).double() / 1000))
    close(ratio, ALPHA_BARS / (1 - ALPHA_BARS), 1e-7)
    assert (ratio.diff() < 0).all()


@evaluates("Cosine schedule")
def cosine_schedule() -> None:
    def f(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    for i in (1, 10, 500, 990):  # the last betas are bounded by 0.999
        close(cosine(1000)(torch.tensor([i / 1000], dtype=torch.float64)).alpha ** 2, f(i / 1000) / f(0))


@evaluates("Posterior")
def posterior() -> None:
    """Bayes' rule on a grid of x_s, one pixel: q(x_t | x_s) q(x_s | x_0), normalised."""
    s, t = (LINEAR(torch.tensor([time], dtype=torch.float64)) for time in (0.3, 0.5))
    step = transition(s, t)
    x_0, x_t = 0.4, -0.7
    grid = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
    ratio = t.alpha / s.alpha
    forward = Normal(ratio * grid, (t.sigma**2 - ratio**2 * s.sigma**2).sqrt())
    log_density = forward.log_prob(torch.tensor(x_t).double())
    density = (log_density + Normal(s.alpha * x_0, s.sigma).log_prob(grid)).softmax(0)
    mean = (density * grid).sum()
    close(posterior_mean(step, torch.full((1, 1), x_0).double(), torch.full((1, 1), x_t).double()), mean, 1e-7)
    close(step.posterior_var, (density * (grid - mean) ** 2).sum(), 1e-7)


@evaluates("Variational bound")
def variational_bound() -> None:
    """Each term by torch's distributions, and a bound that is one: no less than what the density itself costs."""
    chain = Chain(LINEAR, torch.tensor([0.0, 0.1, 0.4, 1.0], dtype=torch.float64))
    x_0 = (X_0.clamp(-0.9, 0.9) * 127.5).round() / 127.5
    denoise = MIXTURE.denoiser(LINEAR)
    terms = list(bound_steps(x_0, NOBODY, denoise, FixedSmall(), chain, NOISE))
    for i, term in zip((3, 2), terms, strict=False):
        level, before = at(LINEAR, float(chain.times[i])), at(LINEAR, float(chain.times[i - 1]))
        x_t = perturb(x_0, NOISE.normal("bits_per_dim", MIXTURE.shape, i), level)
        guess = denoise(x_t, times(float(chain.times[i])), NOBODY).x0
        std = transition(before, level).posterior_var.sqrt()[:, None, None, None]
        true, modelled = (Normal(posterior_mean(transition(before, level), x, x_t), std) for x in (x_0, guess))
        close(term.vb, kl_divergence(true, modelled).mean((1, 2, 3)) / math.log(2))
    last = at(LINEAR, 1.0)
    of_noise = Normal(float(last.alpha[0]) * x_0, float(last.sigma[0]))
    prior = kl_divergence(of_noise, Normal(torch.zeros_like(x_0), torch.ones_like(x_0)))
    close(prior_bits(x_0, chain), prior.mean((1, 2, 3)) / math.log(2))

    grey = GaussianMixture(torch.zeros(1, 1, 1, 1), [1.0], 0.3)
    pixel, noise = torch.full((50, 1, 1, 1), -0.6, dtype=torch.float64), ImageNoise(0, torch.arange(50))
    exact = -math.log2(2 / 255 * math.exp(float(Normal(0.0, 0.3).log_prob(torch.tensor(-0.6)))))
    bounds = [
        float(
            sum(
                step.vb.mean() for step in bound_steps(pixel, NOBODY, grey.denoiser(LINEAR), FixedSmall(), steps, noise)
            )
        )
        for steps in (Chain(LINEAR, UniformGrid(100)(LINEAR)), own_chain(LINEAR))
    ]
    assert exact < bounds[1] < bounds[0]


@evaluates("Term of the bound")
def term_of_the_bound() -> None:
    i = torch.full((IMAGES,), 400)
    chain = own_chain(LINEAR)
    s, t = chain[i - 1], chain[i]
    x_t = perturb(X_0, normal("eps"), t)
    guess = MIXTURE.denoise(x_t, *t)
    bits = bound_term(X_0, x_t, Prediction(guess), FixedSmall(), chain, i)
    squared = ((X_0 - guess) ** 2).mean((1, 2, 3))
    close(bits * math.log(2), 0.5 * (snr(s) - snr(t)) * squared, 1e-7)
    means = [posterior_mean(transition(s, t), x, x_t) for x in (X_0, guess)]
    of_means = ((means[0] - means[1]) ** 2).mean((1, 2, 3)) / (2 * transition(s, t).posterior_var)
    close(bits * math.log(2), of_means, 1e-7)


@evaluates("Decoder")
def decoder() -> None:
    """With the true distribution function; difflab's is the published tanh, within 2e-4 of it."""
    levels = torch.arange(256).double()[:, None] / 127.5 - 1
    normal = Normal(torch.tensor(0.1).double(), torch.tensor(0.02).double())
    edges = torch.cat(
        [torch.full((1, 1), -math.inf).double(), levels[1:] - 1 / 255, torch.full((1, 1), math.inf).double()]
    )
    probability = normal.cdf(edges[1:]) - normal.cdf(edges[:-1])
    given = discretized_normal_log_likelihood(levels, normal.mean, normal.stddev.log()).exp()
    close(given, probability, 4e-4)
    close(given.sum(), 1.0, 1e-7)


@evaluates("Simple loss")
def simple_loss() -> None:
    answer = normal("an answer")
    denoiser = Denoiser(Answers(answer), LINEAR, Epsilon(), FixedSmall())
    losses = Simple(Uniform(), Unweighted())(denoiser, X_0, NOBODY, NOISE)
    close(losses.total, ((normal("eps") - answer) ** 2).mean((1, 2, 3)))
    assert losses.t is not None
    close(losses.t, (NOISE.uniform("time") * 1000).floor().add(1) / 1000)


@evaluates("Learned variance")
def learned_variance() -> None:
    step = transition(at(LINEAR, 0.0), at(LINEAR, 0.001))
    assert step.final.all()  # its posterior's variance is 0, and another stands in for its logarithm
    chain, i = own_chain(LINEAR), torch.full((IMAGES,), 30)
    step, f = chain.transition(i), normal("fraction").tanh()
    alpha_bar, before = ALPHA_BARS[29], ALPHA_BARS[28]
    small = BETAS[29] * (1 - before) / (1 - alpha_bar)
    v = (f + 1) / 2
    close(LearnedRange().log_var(f, step, X_0).exp(), BETAS[29] ** v * small ** (1 - v), 1e-7)


@evaluates("Hybrid loss")
def hybrid_loss() -> None:
    """The sum of the two losses; of what says the mean, the gradient is that of the simple one alone."""
    of_mean, of_variance = normal("mean").requires_grad_(), normal("variance").requires_grad_()
    denoiser = Denoiser(Answers(torch.cat([of_mean, of_variance], 1)), LINEAR, Epsilon(), LearnedRange())
    losses = Hybrid(Uniform(), Unweighted(), vlb_weight=0.001)(denoiser, X_0, NOBODY, NOISE)
    close(losses.total, losses.terms["simple"] + 0.001 * losses.terms["vlb"])
    by_mean, by_variance = torch.autograd.grad(losses.total.sum(), (of_mean, of_variance))
    close(by_mean, 2 * (of_mean - normal("eps")).detach() / of_mean[0].numel())
    assert (by_variance != 0).all()


def read_by(parameterization, F: torch.Tensor, x_t: torch.Tensor, t: float) -> torch.Tensor:
    """The x_0 of a denoiser whose network says F."""
    return Denoiser(Answers(F), LINEAR, parameterization, FixedSmall())(x_t, times(t), NOBODY).x0


@evaluates("Predicted noise")
def predicted_noise() -> None:
    """The noise that is expected of x_t is minus sigma times the score, and Epsilon reads it as the expected image."""
    level = at(LINEAR, 0.4)
    x_t = perturb(X_0, normal("eps"), level)
    eps = -level.sigma[:, None, None, None] * MIXTURE.score(x_t, *level)
    close(x0_from_eps(x_t, eps, level), MIXTURE.denoise(x_t, *level))
    close(read_by(Epsilon(), eps, x_t, 0.4), MIXTURE.denoise(x_t, *level))


@evaluates("Velocity")
def velocity() -> None:
    """The derivative of x_t = cos(phi) x_0 + sin(phi) eps by phi."""
    alpha, sigma = (float(value[0]) for value in at(LINEAR, 0.4))
    eps, phi = normal("eps"), math.atan2(sigma, alpha)
    ahead, behind = (math.cos(phi + h) * X_0 + math.sin(phi + h) * eps for h in (1e-5, -1e-5))
    v = (ahead - behind) / 2e-5
    close(v, alpha * eps - sigma * X_0, 1e-6)
    close(read_by(Velocity(), v, alpha * X_0 + sigma * eps, 0.4), X_0, 1e-6)


@evaluates("Velocity of a flow")
def velocity_of_a_flow() -> None:
    """The derivative of x_t by t, along a line and along a circle; what reads it gives x_0 back at both ends too."""
    eps, h = normal("eps"), 1e-5
    for path in (LinearPath(), CosinePath()):
        parameterization = FlowVelocity(path)
        for t in (0.3, 0.999):
            behind, ahead = (perturb(X_0, eps, at(path, t + step)) for step in (-h, h))
            level = at(path, t)
            c = parameterization(times(t), *level, times(t))
            u = (ahead - behind) / (2 * h)
            found = c.c_skip[:, None, None, None] * perturb(X_0, eps, level) + c.c_out[:, None, None, None] * u
            close(found, X_0, 1e-6)
        last = parameterization(times(1.0), *at(path, 1.0), times(1.0))
        assert all(value.isfinite().all() for value in last)
    close(at(LinearPath(), 0.3).sigma, 0.3)


@evaluates("Preconditioning")
def preconditioning() -> None:
    """What led to the coefficients: unit variance of input and target, and the smallest c_out (EDM, appendix B.6)."""
    d = 0.5
    for t in (0.05, 0.4, 0.9):
        alpha, sigma = at(LINEAR, t)
        c = EDM(sigma_data=d)(times(t), alpha, sigma, times(t))
        close(c.c_in**2 * (alpha**2 * d**2 + sigma**2), 1.0)

        def spread(c_skip, alpha=alpha, sigma=sigma):
            return (1 - c_skip * alpha) ** 2 * d**2 + c_skip**2 * sigma**2

        close(c.c_out**2, spread(c.c_skip))
        assert (spread(c.c_skip) < spread(c.c_skip + 1e-3)).all()
        assert (spread(c.c_skip) < spread(c.c_skip - 1e-3)).all()
        x_t = perturb(X_0, normal("eps"), AlphaSigma(alpha, sigma))
        F = (X_0 - c.c_skip[:, None, None, None] * x_t) / c.c_out[:, None, None, None]
        close(read_by(EDM(sigma_data=d), F, x_t, t), X_0)


@evaluates("Weights over the signal-to-noise ratio")
def weights() -> None:
    """One x_0, said as noise, image or velocity: the same loss under each weight, w(SNR) |x_0 error|^2."""
    level, eps = at(LINEAR, 0.2), normal("eps")
    x_t, ratio = perturb(X_0, eps, level), snr(level)
    guess = X_0 + 0.1 * normal("error")
    said = {
        Epsilon: eps_from_x0(x_t, guess, level),
        X0: guess,
        Velocity: level.alpha[:, None, None, None] * eps_from_x0(x_t, guess, level)
        - level.sigma[:, None, None, None] * guess,
    }
    image, of_noise = (((a - b) ** 2).mean((1, 2, 3)) for a, b in ((X_0, guess), (eps, said[Epsilon])))
    close(of_noise, ratio * image)
    expected = {SNR(): ratio, TruncatedSNR(): ratio.clamp(min=1), MinSNR(5.0): ratio.clamp(max=5)}
    for weighting, w in expected.items():
        for parameterization, F in said.items():
            raw = Denoiser(Answers(F), LINEAR, parameterization(), FixedSmall()).raw(x_t, times(0.2), NOBODY)
            close(Simple(Uniform(), weighting).error(raw, X_0, eps), w * image, 1e-7)
