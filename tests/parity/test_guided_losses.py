"""Losses of guided-diffusion and their gradients with respect to the network's output. float32 to 1e-5.

KL = VLB / T and RESCALED_KL = VLB. MSE is Simple; with a learned variance both MSE losses are Hybrid, with lambda = 1 / T and 1 / 1000.
"""

import json

import numpy as np
import torch
from feeds import FixedOutput, FixedTimes, SuppliedNoise
from guided import GOLDEN, MEANS, VARIANCES, difference

from difflab.denoiser import Denoiser
from difflab.guidance import Clip
from difflab.objectives import VLB, Hybrid, Objective, Simple, bound_term
from difflab.objectives.weightings import Unweighted
from difflab.process import discretized_normal_log_likelihood, normal_cdf, normal_kl, perturb
from difflab.schedules import linear, own_chain
from difflab.types import Condition
from one_pass import each

INPUTS = np.load(GOLDEN / "gd_pointwise.npz")
ARRAYS = np.load(GOLDEN / "gd_losses.npz")
STEPS = torch.tensor(json.loads((GOLDEN / "gd.json").read_text(encoding="utf-8"))["timestep_batches"]["lin1000"][0])
CASES = sorted(
    {tuple(key.split("/")[2:5]) for key in ARRAYS.files if key.startswith("lin1000/b0/") and key.endswith("/loss")}
)
X_0, EPS, OUTPUT = (torch.from_numpy(INPUTS[f"in/{name}"]) for name in ("x0", "noise", "model_output"))

# the decoder's likelihood (the example at t = 0) subtracts two nearly equal distribution functions: float32 leaves this of it, in the
# peer's arithmetic as in ours
DECODER = 5e-4
TOLERANCE = np.where(STEPS.numpy() == 0, DECODER, 1e-5)


def denoiser_of(mean: str, variance: str, dtype: torch.dtype = torch.float32) -> Denoiser:
    schedule, kind = linear(1000), VARIANCES[variance]()
    output = OUTPUT if kind.channels else OUTPUT[:, :3]
    return Denoiser(FixedOutput(output.to(dtype), 3), schedule, MEANS[mean](schedule), kind)


def objective_of(loss: str, learned: bool) -> tuple[Objective, float]:
    """The objective, and the factor that makes the peer's loss of it."""
    times = FixedTimes((STEPS + 1) / 1000)
    if loss in ("KL", "RESCALED_KL"):
        return VLB(times), 1 / 1000 if loss == "KL" else 1.0
    return (Hybrid(times, Unweighted(), 1 / 1000) if learned else Simple(times, Unweighted())), 1.0


@each(("mean", "variance", "loss"), CASES)
def test_loss_and_gradient(mean, variance, loss):
    denoiser = denoiser_of(mean, variance)
    objective, factor = objective_of(loss, bool(denoiser.variance.channels))
    objective.check(denoiser)
    losses = objective(denoiser, X_0, Condition(), SuppliedNoise({"eps": EPS}))
    prefix = f"lin1000/b0/{mean}/{variance}/{loss}"
    assert (abs(factor * losses.total.detach().numpy() / ARRAYS[f"{prefix}/loss"] - 1) < TOLERANCE).all()
    if f"{prefix}/vb" in ARRAYS.files:
        bound = losses.terms["vlb"].detach().numpy() / 1000  # lambda = 1 / T and 0.001 T / T are the same here
        assert (abs(bound / ARRAYS[f"{prefix}/vb"] - 1) < TOLERANCE).all()
        assert difference(losses.terms["simple"], ARRAYS[f"{prefix}/mse"]) < 1e-5
    if f"{prefix}/grad_out" in ARRAYS.files:
        (factor * losses.total.sum()).backward()
        ours, theirs = denoiser.network.output.grad.numpy(), ARRAYS[f"{prefix}/grad_out"]
        for example, tolerance in enumerate(TOLERANCE):
            size = abs(theirs[example]).max()
            np.testing.assert_allclose(ours[example], theirs[example], rtol=0, atol=tolerance * size)


def test_all_losses_are_compared():
    assert {case[2] for case in CASES} == {"KL", "RESCALED_KL", "MSE", "RESCALED_MSE"}
    assert len({case[:2] for case in CASES}) == 12


def test_the_bound_of_a_clipped_prediction():
    denoiser = denoiser_of("EPSILON", "LEARNED_RANGE")
    chain, i = own_chain(denoiser.schedule), STEPS + 1
    x_t = perturb(X_0, EPS, chain[i])
    golden = ARRAYS["lin1000/b0/vb_terms_bpd/clip=1"]
    ours = bound_term(X_0, x_t, Clip()(denoiser)(x_t, chain.times[i], Condition()), denoiser.variance, chain, i)
    assert (abs(ours.detach().numpy() / golden - 1) < TOLERANCE).all()


def test_elementary_densities():
    x, means, scales, z = (torch.from_numpy(ARRAYS[f"losses/{name}"]) for name in ("x", "means", "log_scales", "z"))
    np.testing.assert_allclose(normal_cdf(z), ARRAYS["losses/approx_standard_normal_cdf(z)"], rtol=1e-5, atol=1e-7)
    zero = torch.zeros(())
    np.testing.assert_allclose(
        normal_kl(means, scales, zero, zero), ARRAYS["losses/normal_kl(means,log_scales,0,0)"], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        normal_kl(means, scales, x, scales + 0.5),
        ARRAYS["losses/normal_kl(means,log_scales,x,log_scales+0.5)"],
        rtol=1e-5,
        atol=1e-6,
    )
    for log_scales, name in {scales: "", torch.full_like(scales, -12): "(log_scales=-12)"}.items():
        golden = ARRAYS[f"losses/discretized_gaussian_log_likelihood{name}"]
        np.testing.assert_allclose(
            discretized_normal_log_likelihood(x, means, log_scales), golden, rtol=DECODER, atol=1e-6
        )
