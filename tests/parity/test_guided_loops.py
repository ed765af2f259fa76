"""Whole sampling loops of guided-diffusion with its noise, from x_T to x_0. float32 to 1e-5, or as far as the peer's float32 reaches."""

import numpy as np
import pytest
import torch
from ddim_rounding import ROUNDED, with_their_number
from feeds import FakeNetwork, StepNoise
from guided import MEANS, SCHEDULES, VARIANCES, difference, tolerance
from guided_loops import ARRAYS, COND, FACTS, X_T, WholeChain

from difflab.denoiser import Denoiser
from difflab.evaluation import BoundSums
from difflab.guidance import Clip
from difflab.objectives import bound_steps, prior_bits
from difflab.process import eps_from_x0
from difflab.samplers import DDIM, DDPM, Sampler
from difflab.samplers.grids import Grid, UniformGrid
from difflab.schedules import Chain, NoiseSchedule, Tabulated
from difflab.types import Condition
from one_pass import each

MODELS = sorted({key.split("/rescale")[0] + "/" + key.split("/")[3] for key in ARRAYS.files if "/rescale=" in key})
X_0 = torch.from_numpy(ARRAYS["in/x0"])
SAMPLERS = {
    "ddpm": lambda grid, variance: DDPM(grid, variance),
    "ddim_eta0.0": lambda grid, variance: DDIM(grid),
    "ddim_eta0.5": lambda grid, variance: DDIM(grid, eta=0.5),
    "ddim_eta1.0": lambda grid, variance: DDIM(grid, eta=1.0),
}


def model(name: str) -> tuple[Denoiser, Grid, list[float]]:
    """A denoiser, the grid that makes the respaced chain of it, and the times that the peer tells its network."""
    process, mean, variance, rescale = name.split("/")
    kind, section = process.split("|")
    schedule, learned = SCHEDULES[kind](1000), variance.startswith("LEARNED")
    grid = UniformGrid(section)
    if mean == "PREVIOUS_X":  # the output is the mean of the respaced chain: that chain is the schedule
        chain = Chain(schedule, grid(schedule))
        schedule, grid = Tabulated(chain.transition(torch.arange(1, len(chain) + 1)).var_ts), WholeChain()
    told = FACTS["loop_model_t"][f"{process}/{mean}/{variance}/{rescale}"]
    network = FakeNetwork(learned, told[::-1] if mean == "PREVIOUS_X" else None)
    return Denoiser(network, schedule, MEANS[mean](schedule), VARIANCES[variance]()), grid, told


def is_comparable(name: str, tag: str) -> bool:
    """With previous-x prediction the peer clips x_0 but leaves the mean as it was; ours follows from the clipped x_0."""
    return not ("PREVIOUS_X" in name and tag == "ddpm")


@each(
    ("name", "tag"),
    [
        (name, tag)
        for name in MODELS
        for tag in [*SAMPLERS, "ddpm_noclip", "ddim_eta0_noclip"]
        if is_comparable(name, tag)
    ],
)
def test_loop(name, tag):
    denoiser, grid, times = model(name)
    kind = {"ddpm_noclip": "ddpm", "ddim_eta0_noclip": "ddim_eta0.0"}.get(tag, tag)
    sampler: Sampler = SAMPLERS[kind](grid, denoiser.variance)
    noise = StepNoise(FACTS["loop_noise"][f"{name}/{tag}"]["seed"], len(X_T), len(times))
    sample = sampler(denoiser if "noclip" in tag else Clip()(denoiser), denoiser.schedule, X_T, COND, noise)
    golden = ARRAYS[f"{name}/{tag}"][None]
    assert [float(told_time[0]) for told_time in denoiser.network.times] == times
    rounded = ROUNDED.get(name.split("/")[0]) if tag == "ddim_eta1.0" else None
    if rounded is None:
        assert difference(sample[None], golden) < tolerance(f"{name}/{tag}")
    else:  # one number of the peer's is off, see golden/ddim_rounding.py
        assert difference(sample[None], golden) == pytest.approx(rounded.gap(name), abs=tolerance(f"{name}/{tag}"))
        theirs = with_their_number(rounded, Clip()(denoiser), sampler, denoiser.schedule, X_T, COND, noise)
        assert difference(theirs[None], golden) < tolerance(f"{name}/{tag}")


@each(
    ("process", "tag", "seed"),
    [
        (process, tag, seed)
        for process in sorted({name.split("/")[0] for name in MODELS})
        for tag, seed in [("ddpm", 50000), ("ddim_eta0.5", 51000)]
    ],
)
def test_every_step_of_a_loop(process, tag, seed):
    golden = {part: ARRAYS.get(f"{process}/progressive/{tag}/{part}") for part in ("sample", "pred_xstart")}
    matches = []
    for variance in ("FIXED_LARGE", "LEARNED", "LEARNED_RANGE"):  # the golden numbers do not name the model's variance
        denoiser, grid, times = model(f"{process}/EPSILON/{variance}/rescale=0")
        sampler = SAMPLERS[tag](grid, denoiser.variance)
        steps = sampler.trajectory(
            Clip()(denoiser), denoiser.schedule, X_T, Condition(), StepNoise(seed, len(X_T), len(times))
        )
        with torch.no_grad():
            walked = list(steps)
        far = difference(torch.stack([step.x_s for step in walked]), golden["sample"])
        if golden["pred_xstart"] is not None:
            far = max(far, difference(torch.stack([step.x0 for step in walked]), golden["pred_xstart"]))
        matches.append(far < 1e-5)
    assert any(matches)


@each("name", MODELS)
def test_encoding_is_the_reversed_loop(name):
    """The peer's reverse goes one step further than ours, to alpha = 0, where x = eps; its first step ends at the chain's second time."""
    denoiser, grid, _ = model(name)
    denoise = Clip()(denoiser)
    chain = Chain(denoiser.schedule, grid(denoiser.schedule))
    x = DDIM(grid).encode(denoise, denoiser.schedule, X_0, COND)
    top = len(chain)
    t = chain.times[top].expand(len(x))
    with torch.no_grad():
        eps = eps_from_x0(x, denoise(x, t, COND).x0, chain[torch.full((len(x),), top)])
    assert difference(eps, ARRAYS[f"{name}/ddim_reverse_last"]) < 1e-5

    class First(Grid):
        def __call__(self, schedule: NoiseSchedule) -> torch.Tensor:
            return chain.times[:3]

    first = DDIM(First()).encode(denoise, denoiser.schedule, X_0, COND)
    assert difference(first, ARRAYS[f"{name}/ddim_reverse_first"]) < 1e-5


@each(
    ("name", "tag"),
    [(n, tag) for n in MODELS for tag in ("bpd", "bpd_noclip") if tag == "bpd_noclip" or is_comparable(n, "ddpm")],
)
def test_bits_per_dimension(name, tag):
    denoiser, grid, _ = model(name)
    chain = Chain(denoiser.schedule, grid(denoiser.schedule))
    denoise = denoiser if tag == "bpd_noclip" else Clip()(denoiser)
    noise = StepNoise(52000, len(X_0), len(chain))
    prior = prior_bits(X_0, chain)
    steps = list(bound_steps(X_0, COND, denoise, denoiser.variance, chain, noise))
    vb = torch.stack([step.vb for step in steps], dim=1)
    # with a fixed small variance the decoder's likelihood keeps three digits in float32
    near = tolerance(f"{name}/{tag}/total_bpd")
    total = vb.sum(1) + prior
    assert difference(total[:, None], ARRAYS[f"{name}/{tag}/total_bpd"][:, None]) < near
    if tag == "bpd":
        np.testing.assert_allclose(prior, ARRAYS[f"{name}/bpd/prior_bpd"], rtol=1e-3, atol=1e-7)
        assert difference(vb.T, ARRAYS[f"{name}/bpd/vb"].T) < 1e-3
        x0_mse, eps_mse = (torch.stack(column, dim=1) for column in zip(*(step[2:] for step in steps), strict=True))
        assert difference(x0_mse, ARRAYS[f"{name}/bpd/xstart_mse"]) < 1e-5
        assert difference(eps_mse, ARRAYS[f"{name}/bpd/mse"]) < 1e-5

        sums = BoundSums(chain.times)
        sums.update(prior, steps)
        result = sums.result()
        golden = ARRAYS[f"{name}/bpd/total_bpd"].astype(np.float64)
        assert result.value == pytest.approx(golden.mean(), rel=near)
        np.testing.assert_allclose(result.std_error, golden.std(ddof=1) / np.sqrt(3), rtol=10 * near)
        # the peer's columns begin at the noisy end
        np.testing.assert_allclose(result.x0_mse.flip(0), ARRAYS[f"{name}/bpd/xstart_mse"].mean(0), rtol=1e-4)


@each("case", FACTS["ddim_eta1_nan"])
def test_ddim_with_eta_1_is_finite_where_the_peer_is_not(case):
    kind, steps = case.split("|")
    schedule = SCHEDULES[kind](1000)
    denoiser = Denoiser(FakeNetwork(False), schedule, MEANS["EPSILON"](schedule), VARIANCES["FIXED_LARGE"]())
    noise = StepNoise(51000, len(X_T), int(steps))
    for x_T in (X_T, X_T.double()):
        assert torch.isfinite(DDIM(UniformGrid(steps), eta=1.0)(Clip()(denoiser), schedule, x_T, COND, noise)).all()
