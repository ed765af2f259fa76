"""The Gaussian algebra against conditioning of joint Gaussians, automatic differentiation and torch's own distributions."""

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from difflab.process import (
    discretized_normal_log_likelihood,
    eps_from_x0,
    normal_cdf,
    normal_kl,
    over,
    perturb,
    posterior_mean,
    score_from_x0,
    snr,
    transition,
    x0_from_eps,
)
from difflab.types import AlphaSigma

RNG = np.random.RandomState(5)


def levels(n=50):
    """Random pairs s < t of any process, not only of a variance-preserving one."""
    alpha_s, alpha_ts = torch.from_numpy(RNG.uniform(0.1, 1.5, n)), torch.from_numpy(RNG.uniform(0.05, 1.0, n))
    sigma_s, var_ts = torch.from_numpy(RNG.uniform(0.05, 2.0, n)), torch.from_numpy(RNG.uniform(0.01, 2.0, n))
    sigma_t = torch.sqrt((alpha_ts * sigma_s) ** 2 + var_ts)
    return AlphaSigma(alpha_s, sigma_s), AlphaSigma(alpha_ts * alpha_s, sigma_t), alpha_ts, var_ts


def test_transition_and_posterior_by_conditioning_the_joint_gaussian():
    at_s, at_t, alpha_ts, var_ts = levels()
    step = transition(at_s, at_t)
    np.testing.assert_allclose(step.alpha_ts, alpha_ts, rtol=1e-12)
    np.testing.assert_allclose(step.var_ts, var_ts, rtol=1e-10)
    for n in range(len(alpha_ts)):
        # (x_s, x_t) given x_0 = 1: q(x_s | x_t, x_0) is the conditional Gaussian
        mean = np.array([at_s.alpha[n], at_t.alpha[n]])
        covariance = np.array([[at_s.sigma[n] ** 2, alpha_ts[n] * at_s.sigma[n] ** 2], [0, at_t.sigma[n] ** 2]])
        gain = covariance[0, 1] / covariance[1, 1]
        np.testing.assert_allclose(step.coef_xt[n], gain, rtol=1e-10)
        np.testing.assert_allclose(step.coef_x0[n], mean[0] - gain * mean[1], rtol=1e-9)
        np.testing.assert_allclose(step.posterior_var[n], covariance[0, 0] - gain * covariance[0, 1], rtol=1e-9)


def test_transitions_compose():
    at_s, at_t, *_ = levels()
    at_u = AlphaSigma(at_t.alpha * 0.7, torch.sqrt((0.7 * at_t.sigma) ** 2 + 0.3))
    first, second, both = transition(at_s, at_t), transition(at_t, at_u), transition(at_s, at_u)
    np.testing.assert_allclose(both.alpha_ts, first.alpha_ts * second.alpha_ts, rtol=1e-12)
    np.testing.assert_allclose(both.var_ts, second.var_ts + second.alpha_ts**2 * first.var_ts, rtol=1e-9)


def test_the_step_to_the_clean_image():
    clean = AlphaSigma(torch.ones(1).double(), torch.zeros(1).double())
    at_t = AlphaSigma(torch.full((1,), 0.9).double(), torch.full((1,), 0.4).double())
    step = transition(clean, at_t)
    assert (step.coef_x0.item(), step.coef_xt.item(), step.posterior_var.item()) == (1, 0, 0)
    assert step.final.all()
    assert step.log_var_min.item() == step.log_var_max.item() == pytest.approx(np.log(0.16))
    floored = transition(clean, at_t, floor=torch.tensor(0.01, dtype=torch.float64))
    assert floored.log_var_min.item() == pytest.approx(np.log(0.01))


def test_noise_image_and_score_are_one_another():
    at_s, *_ = levels(8)
    x_0, eps = torch.from_numpy(RNG.randn(2, 8, 3, 4, 4))
    x_t = perturb(x_0, eps, at_s)
    torch.testing.assert_close(eps_from_x0(x_t, x_0, at_s), eps, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(x0_from_eps(x_t, eps, at_s), x_0, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(score_from_x0(x_t, x_0, at_s), -eps / over(at_s.sigma, eps), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(snr(at_s), at_s.alpha**2 / at_s.sigma**2)


def test_score_of_gaussian_data_by_differentiation():
    """Data N(mu, s^2): p(x_t) = N(alpha mu, alpha^2 s^2 + sigma^2) and E[x_0 | x_t] are known."""
    level, *_ = levels(6)
    mu, s = 0.3, 0.7
    x_t = torch.from_numpy(RNG.randn(6, 1, 2, 2)).requires_grad_()
    alpha, sigma = over(level.alpha, x_t), over(level.sigma, x_t)
    marginal = torch.distributions.Normal(alpha * mu, torch.sqrt(alpha**2 * s**2 + sigma**2))
    (gradient,) = torch.autograd.grad(marginal.log_prob(x_t).sum(), x_t)
    x_0 = mu + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (x_t - alpha * mu)
    torch.testing.assert_close(score_from_x0(x_t, x_0, level), gradient, rtol=1e-9, atol=1e-9)


def test_posterior_mean_is_linear_in_the_two_images():
    at_s, at_t, *_ = levels(4)
    step = transition(at_s, at_t)
    x_0, x_t = torch.from_numpy(RNG.randn(2, 4, 3, 2, 2))
    expected = step.coef_x0[2] * x_0[2] + step.coef_xt[2] * x_t[2]
    torch.testing.assert_close(posterior_mean(step, x_0, x_t)[2], expected)


def test_kl_of_normals():
    m1, v1, m2, v2 = torch.from_numpy(RNG.randn(4, 100))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(m1, torch.exp(v1 / 2)), normal(m2, torch.exp(v2 / 2)))
    torch.testing.assert_close(normal_kl(m1, v1, m2, v2), expected, rtol=1e-10, atol=1e-12)
    assert abs(normal_kl(m1, v1, m1, v1)).max() < 1e-15


def test_the_approximate_distribution_function():
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    assert abs(normal_cdf(z).numpy() - ndtr(z.numpy())).max() < 2e-4


@pytest.mark.parametrize("log_scale", [-5.0, -3.0, 0.0])
def test_the_grey_levels_share_all_probability(log_scale):
    level = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).reshape(1, 1, 16, 16)
    for mean in (-1.0, -0.2, 0.99):
        log_p = discretized_normal_log_likelihood(
            level, torch.full_like(level, mean), torch.tensor(log_scale, dtype=torch.float64)
        )
        assert torch.exp(log_p).sum().item() == pytest.approx(1, abs=1e-9)


def test_what_cannot_happen_has_a_finite_logarithm_and_gradient():
    x_0 = torch.zeros(1, 1, 1, 1)
    mean = torch.full((1, 1, 1, 1), 50.0, requires_grad=True)
    log_p = discretized_normal_log_likelihood(x_0, mean, torch.tensor(-6.0))
    log_p.sum().backward()
    assert log_p.item() == pytest.approx(np.log(1e-12), rel=1e-5)
    assert torch.isfinite(mean.grad).all()
