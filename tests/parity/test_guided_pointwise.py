"""Single steps of guided-diffusion: perturbation, posteriors, the mean and variance of the reverse step. float32 to 1e-5."""

import json
import math

import numpy as np
import torch
from feeds import FixedOutput
from guided import GOLDEN, MEANS, VARIANCES, difference

from difflab.denoiser import Denoiser
from difflab.guidance import Clip, Guidance, chained
from difflab.process import eps_from_x0, normal_kl, over, perturb, posterior_mean, x0_from_eps
from difflab.samplers.grids import UniformGrid
from difflab.schedules import Chain, Tabulated, cosine, linear, own_chain
from difflab.types import AlphaSigma, Condition, DenoiseFn, Prediction
from one_pass import each

ARRAYS = np.load(GOLDEN / "gd_pointwise.npz")
STEPS = json.loads((GOLDEN / "gd.json").read_text(encoding="utf-8"))["timestep_batches"]
CASES = sorted({tuple(key.split("/")[:2]) for key in ARRAYS.files if key[:2] in ("li", "co")})
REVERSE = sorted({tuple(key.split("/")[:5]) for key in ARRAYS.files if "/pmv/" in key})


def tensor(name):
    return torch.from_numpy(ARRAYS[name])


def process(conf: str, as_betas: bool = False) -> tuple[Tabulated, Chain]:
    """Schedule and chain of a configuration. guided-diffusion reads a respaced model's output as the respaced chain's: `as_betas`."""
    if conf == "cos1000r25":
        schedule = cosine(1000)
        chain = Chain(schedule, UniformGrid("25")(schedule))
        if not as_betas:
            return schedule, chain
        schedule = Tabulated(chain.transition(torch.arange(1, 26)).var_ts)
    else:
        schedule = {"lin": linear, "cos": cosine}[conf[:3]](int(conf[3:]))
    return schedule, own_chain(schedule)


@each(("conf", "batch"), CASES)
def test_forward_process_and_posterior(conf, batch):
    _, chain = process(conf)
    i = torch.tensor(STEPS[conf][int(batch[1])]) + 1
    x_0, eps, output = tensor("in/x0"), tensor("in/noise"), tensor("in/model_output")[:, :3]
    level, step = chain[i], chain.transition(i)
    x_t = perturb(x_0, eps, level)
    previous = (output - over(step.coef_xt, x_t) * x_t) / over(step.coef_x0, x_t)
    prior = normal_kl(
        over(chain[len(chain)].alpha, x_0) * x_0,
        torch.log(chain[len(chain)].sigma ** 2).float(),
        torch.zeros(()),
        torch.zeros(()),
    )
    expected = {
        "q_sample": x_t,
        "q_mean": over(level.alpha, x_0) * x_0,
        "q_var": level.sigma**2,
        "q_logvar": torch.log(level.sigma**2),
        "q_posterior_mean": posterior_mean(step, x_0, x_t),
        "q_posterior_var": step.posterior_var,
        "q_posterior_logvar_clipped": step.log_var_min,
        "predict_xstart_from_eps": x0_from_eps(x_t, output, level),
        "predict_eps_from_xstart": eps_from_x0(x_t, x_0, level),
        "predict_xstart_from_xprev": previous,
    }
    for name, value in expected.items():
        golden = ARRAYS[f"{conf}/{batch}/{name}"]
        # numbers per example or images; a variance may be exactly 0
        rtol, atol = (1e-5, 1e-5 * abs(golden).max()) if golden.ndim > 1 else (1e-5, 0)
        np.testing.assert_allclose(value, golden, rtol=rtol, atol=atol, err_msg=name)
    # float32's remains: the peer subtracts nearly equal numbers in 1 + log var - var
    np.testing.assert_allclose(
        prior.flatten(1).mean(1) / math.log(2), ARRAYS[f"{conf}/{batch}/prior_bpd"], rtol=1e-3, atol=1e-8
    )


@each(("conf", "batch", "parts", "mean", "variance"), REVERSE)
def test_mean_and_variance_of_the_reverse_step(conf, batch, parts, mean, variance):
    schedule, chain = process(conf, as_betas=mean == "PREVIOUS_X")
    i = torch.tensor(STEPS[conf][int(batch[1])]) + 1
    output = ARRAYS["in/model_output"]
    kind = VARIANCES[variance]()
    denoiser = Denoiser(
        FixedOutput(output if kind.channels else output[:, :3], 3), schedule, MEANS[mean](schedule), kind
    )
    x_t = perturb(tensor("in/x0"), tensor("in/noise"), chain[i])
    step = chain.transition(i)
    for clip, denoise in {0: denoiser, 1: Clip()(denoiser)}.items():
        prediction = denoise(x_t, chain.times[i], Condition())
        golden = {
            name: ARRAYS.get(f"{conf}/{batch}/pmv/{mean}/{variance}/clip={clip}/{name}")
            for name in ("mean", "pred_xstart", "log_variance", "variance")
        }
        assert difference(prediction.x0, golden["pred_xstart"]) < 1e-5
        if not (mean == "PREVIOUS_X" and clip):  # there the peer clips x_0 but not the mean; ours follows from x_0
            assert difference(posterior_mean(step, prediction.x0, x_t), golden["mean"]) < 1e-5
        if golden["log_variance"] is None:
            continue
        log_var = kind.log_var(prediction.variance_fraction, step, x_t)
        log_var = log_var.flatten() if golden["log_variance"].ndim == 1 else log_var
        np.testing.assert_allclose(log_var.detach(), golden["log_variance"], rtol=1e-5, atol=1e-6)
        noisy = (
            golden["variance"] != 0
        )  # fixed small at t = 0: the variance is 0, its logarithm that of the second step
        np.testing.assert_allclose(torch.exp(log_var).detach()[noisy], golden["variance"][noisy], rtol=1e-5)
        assert noisy.all() or variance == "FIXED_SMALL"


class Halved(Guidance):
    """x_0 -> 0.5 x_0 + 0.1, the golden numbers' `denoised_fn`."""

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        def halved(x_t, t, cond, /):
            prediction = denoise(x_t, t, cond)
            return Prediction(0.5 * prediction.x0 + 0.1, prediction.variance_fraction)

        return halved


@each(("conf", "batch"), CASES)
def test_a_function_of_the_prediction_is_a_guidance(conf, batch):
    schedule, chain = process(conf)
    i = torch.tensor(STEPS[conf][int(batch[1])]) + 1
    denoiser = Denoiser(
        FixedOutput(ARRAYS["in/model_output"][:, :3], 3),
        schedule,
        MEANS["EPSILON"](schedule),
        VARIANCES["FIXED_LARGE"](),
    )
    x_t = perturb(tensor("in/x0"), tensor("in/noise"), AlphaSigma(*chain[i]))
    prediction = chained([Halved(), Clip()], denoiser)(x_t, chain.times[i], Condition())
    prefix = f"{conf}/{batch}/pmv_denoised_fn(0.5z+0.1)"
    assert difference(prediction.x0, ARRAYS[f"{prefix}/pred_xstart"]) < 1e-5
    assert difference(posterior_mean(chain.transition(i), prediction.x0, x_t), ARRAYS[f"{prefix}/mean"]) < 1e-5
