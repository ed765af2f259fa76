"""The volume of flows along their walks in the numbers of SiT's and flow_matching's code, with their probes and their solvers.

`difflab.likelihoods.ProbabilityFlow` solves another form of the same equation with steps of its own; here the velocity that it would take,
of the mixture's denoiser along difflab's paths, is walked as they walk: log p(x) = log N(z) + sum of e^T (dv/dx) e times the steps.
"""

import itertools
import json
import math

import numpy as np
import torch
from edm import GOLDEN
from recipes import gmm
from test_flows import MIXTURE, PATHS, velocity_of

from one_pass import each

PEER = np.load(GOLDEN / "flows.npz")
CASES = json.loads((GOLDEN / "flows.json").read_text(encoding="utf-8"))["cases"]


def of(family):
    return sorted(case for case in CASES if case.startswith(f"{family}/likelihood/"))


def sign(seed, count):
    """Rademacher's numbers as SiT draws them."""
    return torch.from_numpy(2.0 * np.random.RandomState(seed).randint(0, 2, size=(count, 3, 4, 4)) - 1)


def slope(schedule, x, t, probe, first, last):
    """(dx/dt, e^T (d/dx dx/dt) e) at t, or at the first or `last` before the last time for which the peer's network is asked."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        at = torch.full((len(x),), t, dtype=torch.float64).clamp(first, 1 - last)
        v = velocity_of(schedule, x, at, MIXTURE.denoise(x, *schedule(at)))
        (by_x,) = torch.autograd.grad((v * probe).sum(), x)
    return v.detach(), (by_x * probe).flatten(1).sum(1)


def log_normal(z):
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)


def assert_is(z, volume, case, close):
    np.testing.assert_allclose(z, PEER[f"{case}/z"], rtol=close, atol=close)
    np.testing.assert_allclose(log_normal(z) + volume, PEER[f"{case}/logp"], rtol=close, atol=48 * close)


@each("case", of("flow_matching"))
def test_the_likelihoods_of_flow_matching(case):
    """One probe all the way; Euler's method or the midpoint's, from the image on. Its times, from 1 down to 0, are in float32."""
    _, _, path, method, width = case.split("/")
    schedule = PATHS[path]
    times = 1 - torch.arange(round(1 / float(width)) + 1, dtype=torch.float32) * float(width)
    times[-1] = 0
    x = torch.from_numpy(gmm()[0][:3] + 0.25 * np.random.RandomState(11120).randn(3, 3, 4, 4))
    probe = torch.from_numpy((np.random.RandomState(11121).randn(3, 3, 4, 4) < 0) * 2.0 - 1)
    volume = torch.zeros(3, dtype=torch.float64)
    for begin, end in itertools.pairwise(times):
        h = float(begin - end)
        v, trace = slope(schedule, x, 1 - float(begin), probe, 1e-5, 1e-5)
        if method == "midpoint":
            half = begin + (end - begin) / 2
            v, trace = slope(schedule, x + h / 2 * v, 1 - float(half), probe, 1e-5, 1e-5)
        x, volume = x + h * v, volume + h * trace
    assert_is(x, volume, case, 1e-9)


@each("case", of("sit"))
def test_the_likelihoods_of_sit(case):
    """Another probe at each evaluation; Euler's method between N times, from the image on."""
    _, _, path, _, count = case.split("/")
    schedule, steps = PATHS[path], int(count[1:]) - 1
    x = torch.from_numpy(gmm()[0][:2] + 0.25 * np.random.RandomState(10260).randn(2, 3, 4, 4))
    # of the preserving path it leaves out the last thousandth
    end, volume = 0.999 if path == "VP" else 1.0, torch.zeros(2, dtype=torch.float64)
    times = torch.linspace(0, end, steps + 1, dtype=torch.float64).tolist()
    for n in range(steps):
        h = times[n + 1] - times[n]
        v, trace = slope(schedule, x, times[n], sign(10261 + n, 2), 1e-5, 0.0)
        x, volume = x + h * v, volume + h * trace
    assert_is(x, volume, case, 1e-9)
