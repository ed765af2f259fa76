"""Ladder, loss, sampler and networks of NCSN and NCSNv2 against numbers that their authors' code computed (ermongroup/ncsnv2)."""

import gzip
import json

import numpy as np
import pytest
import torch
from edm import GOLDEN
from feeds import FakeNetwork, FixedTimes, SuppliedNoise
from recipes import gmm_denoise, param_recipe, rs_images, rs_randn

from difflab.checkpoints.ncsn import convert, load, network_of
from difflab.denoiser import Denoiser
from difflab.objectives import Simple
from difflab.objectives.weightings import SNR, NoiseLevelPower
from difflab.parameterizations import Score
from difflab.samplers import AnnealedLangevin
from difflab.samplers.grids import UniformGrid
from difflab.schedules import GeometricLadder
from difflab.types import Condition, Prediction
from difflab.variances import FixedSmall

PEER = np.load(GOLDEN / "ncsnv2.npz")
KEYS = json.loads(gzip.decompress((GOLDEN / "ncsnv2_keys.json.gz").read_bytes()))
LADDERS = {
    "a": GeometricLadder(10, 0.01, 1.0),
    "b": GeometricLadder(25, 0.02, 30.0),
    "c": GeometricLadder(232, 0.01, 50.0),
    "celeba": GeometricLadder(500, 0.01, 90.0),
    "ffhq": GeometricLadder(2311, 0.01, 348.0),
}


def cases(kind):
    return sorted({name.split("/", 1)[1].rpartition("/")[0] for name in PEER.files if name.startswith(f"{kind}/")})


@pytest.mark.parametrize(
    ("name", "ladder"), [("geometric_a", "a"), ("geometric_b", "b"), ("celeba", "celeba"), ("ffhq", "ffhq")]
)
def test_the_levels_are_the_authors_the_noisiest_first(name, ladder):
    schedule = LADDERS[ladder]
    t = torch.arange(1, schedule.steps + 1).double() / schedule.steps
    np.testing.assert_allclose(schedule(t).sigma.flip(0), PEER[f"sigmas/{name}/sigmas"], rtol=1e-6)
    assert schedule.network_time(t).flip(0).tolist() == list(range(schedule.steps))


@pytest.mark.parametrize("case", cases("dsm"))
def test_the_loss_is_the_authors(case):
    """Theirs is half a sum over pixels, ours a mean."""
    schedule, power = LADDERS[case[0]], float(case[-1])
    labels, x_0 = PEER[f"dsm/{case}/labels"], torch.from_numpy(rs_images(9800, 5, 3, 4, 4))
    noise = SuppliedNoise({"eps": np.random.RandomState(9811).randn(5, 3, 4, 4).astype(np.float32)})
    denoiser = Denoiser(FakeNetwork(False), schedule, Score(), FixedSmall())
    times = FixedTimes(torch.from_numpy(schedule.steps - labels) / schedule.steps)
    losses = Simple(times, NoiseLevelPower(power))(denoiser, x_0, Condition(), noise)
    np.testing.assert_allclose(losses.total.detach() * 48 / 2, PEER[f"dsm/{case}/per_sample"], rtol=2e-5)
    if power == 2:
        same = Simple(times, SNR())(denoiser, x_0, Condition(), noise)
        torch.testing.assert_close(same.total, losses.total)


class InTurn:
    """The k-th draw is that of RandomState(seed + k), whatever it is for."""

    def __init__(self, seed, batch):
        self.seed, self.k, self.number = seed, 0, torch.arange(batch)

    def normal(self, purpose, shape, step=0):
        self.k += 1
        return torch.from_numpy(np.random.RandomState(self.seed + self.k - 1).randn(len(self.number), *shape))

    def uniform(self, purpose, shape=(), step=0):
        raise AssertionError("nothing uniform is drawn")

    def shared(self, divisor):
        return self


def mixture(schedule):
    """The exact denoiser of the recipes' mixture, which counts its calls."""

    def denoise(x, t, cond, /):
        denoise.calls += 1
        return Prediction(gmm_denoise(x, schedule(t).sigma))

    denoise.calls = 0
    return denoise


def sampler_of(schedule, case, last_denoising):
    repeats, eps = (float(part.partition("=")[2]) for part in case.split("/")[1:3])
    return AnnealedLangevin(
        UniformGrid(schedule.steps), int(repeats), eps / schedule.sigma_min**2, last_denoising=last_denoising
    )


@pytest.mark.parametrize("case", cases("ald"))
def test_annealed_langevin_dynamics_is_the_authors(case):
    schedule, x_T = LADDERS[case[0]], torch.from_numpy(np.random.RandomState(9820).rand(2, 3, 4, 4))
    sampler = sampler_of(schedule, case, last_denoising := case.endswith("1"))
    denoise = mixture(schedule)
    image = sampler(denoise, schedule, x_T, Condition(), InTurn(9821, 2))
    np.testing.assert_allclose(image, PEER[f"ald/{case}/final"], rtol=1e-7, atol=1e-9)
    assert denoise.calls == sampler.repeats * schedule.steps + last_denoising


SIZES = {"tiny/ffhq": 32}


def theirs(name):
    """The weights of a map, after the recipe."""
    return {
        key: torch.from_numpy(param_recipe(key, tuple(shape))).float() for key, shape in KEYS[name] if key != "sigmas"
    }


def network(name):
    weights = theirs(name)
    made = network_of(weights, SIZES.get(name, 16))
    made.load_state_dict(convert(weights, made))
    return made


@pytest.mark.parametrize(
    ("case", "ladder", "labels"),
    [
        ("cifar10", GeometricLadder(12, 0.02, 100.0), [1, 10]),
        ("church", GeometricLadder(12, 0.02, 280.0), [1, 10]),
        ("ncsn_original", GeometricLadder(10, 0.02, 2.0), [1, 8]),
    ],
)
def test_networks_are_the_authors(case, ladder, labels):
    """Theirs is given x in [0, 1] and the score there, ours 2x - 1 and twice the level; NCSNv2 says the noise, not yet over sigma."""
    x, level = torch.from_numpy(rs_randn(9830, 2, 3, 16, 16)), torch.tensor(labels)
    out = network(f"tiny/{case}")(2 * x - 1, level.float(), Condition())
    t = (ladder.steps - level.double()) / ladder.steps
    sigma = ladder(t).sigma.float()[:, None, None, None] / 2
    ours = 2 * out if case == "ncsn_original" else -out / sigma
    expected = torch.from_numpy(PEER[f"net/{case}/out"])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("published/cifar10", 29694083), ("published/ncsn_original", 30117635)],
)
def test_published_networks_have_their_names_and_shapes(name, parameters):
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, shape in KEYS[name]}
        made = network_of(weights, 32)
        converted = convert(weights, made)
    assert {key: value.shape for key, value in made.state_dict().items()} == {k: v.shape for k, v in converted.items()}
    assert sum(p.numel() for p in made.parameters()) == parameters


def test_the_deepest_network_is_read(tmp_path):
    """From a file as their runner leaves it: the average of the weights comes last, and is what is taken."""
    weights = theirs("tiny/ffhq")
    wrapped = {f"module.{name}": torch.zeros_like(value) for name, value in weights.items()}
    file = tmp_path / "checkpoint.pth"
    torch.save([wrapped | {"module.sigmas": torch.ones(12)}, {"state": {}}, 1, 2, weights], file)
    read, made = load(file, 32), network("tiny/ffhq")
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in read.state_dict().items())


def test_other_weights_are_refused(tmp_path):
    weights = theirs("tiny/cifar10")
    del weights["res2.1.conv2.weight"]
    torch.save(weights, tmp_path / "some.pth")
    with pytest.raises(
        ValueError,
        match=r"some\.pth: .* cascade\.stages\.1\.1\.conv_out\.weight is missing, \(16, 16, 3, 3\)",
    ):
        load(tmp_path / "some.pth", 16)
