"""guided-diffusion's `condition_mean` and whole ancestral loops under it. float32 to 1e-5."""

import numpy as np
import torch
from feeds import StepNoise
from guided import VARIANCES, difference
from guided_loops import ARRAYS, COND, FACTS, X_T, with_classifier

from difflab.denoiser import Denoiser
from difflab.guidance import Clip, MeanShiftAtImage, chained
from difflab.process import posterior_mean
from difflab.samplers import DDPM
from difflab.schedules import Chain
from one_pass import each

LOOPS = sorted(key.removesuffix("/ddpm_cond") for key in ARRAYS.files if key.endswith("/ddpm_cond"))


def parts(name):
    """Denoiser with the variance of the peer's model, grid, classifier."""
    denoiser, grid, classify = with_classifier(name)
    variance = VARIANCES[name.split("/")[2]]()
    return (
        Denoiser(denoiser.network, denoiser.schedule, denoiser.parameterization, variance),
        grid,
        classify,
    )


@each("name", [name for name in LOOPS if "PREVIOUS_X" not in name])
def test_loop(name):
    """The peer clips x_0, shifts the mean by the variance times the gradient at x_t, and does not clip again."""
    denoiser, grid, classify = parts(name)
    schedule, variance = denoiser.schedule, denoiser.variance
    guided = chained([Clip(), MeanShiftAtImage(classify, schedule, grid, variance, 2.0)], denoiser)
    noise = StepNoise(FACTS["loop_noise"][f"{name}/ddpm_cond"]["seed"], len(X_T), len(Chain(schedule, grid(schedule))))
    sample = DDPM(grid, variance)(guided, schedule, X_T, COND, noise)
    assert difference(sample[None], ARRAYS[f"{name}/ddpm_cond"][None]) < 1e-5


POINTS = sorted(key.split("/condition_mean/t=") for key in ARRAYS.files if "/condition_mean/" in key)


@each(("process", "step"), POINTS)
def test_one_step(process, step):
    matches = []
    for clip in ([], [Clip()]):  # the golden numbers name neither this nor the variance
        for kind in ("LEARNED", "LEARNED_RANGE"):
            denoiser, grid, classify = parts(f"{process}/EPSILON/{kind}/rescale=0")
            schedule = denoiser.schedule
            chain = Chain(schedule, grid(schedule))
            index = torch.full((len(X_T),), int(step) + 1)
            shift = MeanShiftAtImage(classify, schedule, grid, denoiser.variance, 2.0)
            with torch.no_grad():
                x_0 = chained([*clip, shift], denoiser)(X_T, chain.times[index], COND).x0
            mean = posterior_mean(chain.transition(index), x_0, X_T)
            matches.append(difference(mean, ARRAYS[f"{process}/condition_mean/t={step}"]))
    assert min(matches) < 1e-5


def test_all_loops_are_there():
    assert len(LOOPS) == 18
    assert np.isfinite([ARRAYS[f"{name}/ddpm_cond"].sum() for name in LOOPS]).all()
