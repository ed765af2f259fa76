"""Averages of a module's weights: values, precision, swapping in and out, the checkpoint."""

import copy

import numpy as np
import pytest
import torch
from guided import GOLDEN
from torch import nn

from difflab.ema import ONLINE, Averaging, Constant, HalfLife, PowerFunction, Tracks, WarmUp


def module(seed=0, dtype=torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)).to(dtype)
    made[1].bias.requires_grad_(False)
    made.register_buffer("cache", torch.zeros(2), persistent=False)
    return made


def walk(network: nn.Module, step: int) -> None:
    """An optimizer step of a kind."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for p in network.parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=generator).to(p) * 0.1)


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().double().flatten() for p in network.parameters() if p.requires_grad])


def shadow(tracks: Tracks, name: str) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in tracks.shadows[name].values()])


AVERAGINGS = {"constant": Constant(0.9), "warm": WarmUp(0.95), "half": HalfLife(50.0, 4), "power": PowerFunction(0.1)}


@pytest.mark.parametrize("rate", [0.9, 0.9999])
def test_one_update_is_the_peers(rate):
    """guided-diffusion's update_ema on random tensors."""
    arrays = np.load(GOLDEN / "gd_losses.npz")

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.from_numpy(arrays["nn/ema_target"].copy()))

    network, tracks = One(), Tracks({"a": Constant(rate)})
    tracks.start(network)
    with torch.no_grad():
        network.p.copy_(torch.from_numpy(arrays["nn/ema_source"]))
    tracks.update(network)
    np.testing.assert_allclose(tracks.shadows["a"]["p"], arrays[f"nn/update_ema/rate={rate}"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", AVERAGINGS)
def test_the_recursion_in_float64(name):
    network, tracks = module(), Tracks(AVERAGINGS)
    tracks.start(network)
    expected = weights(network)
    for step in range(1, 30):
        walk(network, step)
        tracks.update(network)
        beta = AVERAGINGS[name].beta(step)
        expected = beta * expected + (1 - beta) * weights(network)
    torch.testing.assert_close(shadow(tracks, name), expected, rtol=1e-5, atol=1e-6)


def test_several_tracks_at_once_are_the_same_as_each_alone():
    def run(averagings):
        network, tracks = module(), Tracks(averagings)
        tracks.start(network)
        for step in range(1, 20):
            walk(network, step)
            tracks.update(network)
        return tracks

    together = run(AVERAGINGS)
    for name, averaging in AVERAGINGS.items():
        assert torch.equal(shadow(together, name), shadow(run({name: averaging}), name))
    assert len({tuple(shadow(together, name).tolist()) for name in AVERAGINGS}) == len(AVERAGINGS)


def test_one_pass_over_all_tracks_is_lerp_to_the_bit():
    network, tracks = module(), Tracks(AVERAGINGS)
    tracks.start(network)
    expected = {name: weights(network).float() for name in AVERAGINGS}
    for step in range(1, 10):
        walk(network, step)
        tracks.update(network)
        for name, averaging in AVERAGINGS.items():
            expected[name].lerp_(weights(network).float(), 1 - averaging.beta(step))
    for name in AVERAGINGS:
        assert torch.equal(shadow(tracks, name).float(), expected[name])


def test_the_average_of_bfloat16_weights_moves():
    """With decay 0.9999 a bfloat16 average would stay where it is: an update is below half its last digit."""
    network, tracks = nn.Linear(1, 1, bias=False).to(torch.bfloat16), Tracks({"slow": Constant(0.9999)})
    with torch.no_grad():
        network.weight.fill_(1.0)
        tracks.start(network)
        network.weight.fill_(2.0)
    for _ in range(100):
        tracks.update(network)
    value = tracks.shadows["slow"]["weight"]
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(2 - 0.9999**100, rel=1e-5)
    in_bfloat16 = torch.ones((), dtype=torch.bfloat16).lerp(torch.tensor(2.0, dtype=torch.bfloat16), 1 - 0.9999)
    assert in_bfloat16 == 1


def test_applied_weights_are_the_tracks_and_the_own_ones_come_back():
    network, tracks = module(), Tracks(AVERAGINGS)
    tracks.start(network)
    for step in range(1, 5):
        walk(network, step)
        tracks.update(network)
    own, addresses = copy.deepcopy(network.state_dict()), [p.data_ptr() for p in network.parameters()]
    for name in AVERAGINGS:
        with tracks.applied_to(network, name):
            torch.testing.assert_close(weights(network), shadow(tracks, name))
            assert network[0].weight.data_ptr() == tracks.shadows[name]["0.weight"].data_ptr(), "nothing is copied"
        assert [p.data_ptr() for p in network.parameters()] == addresses
    for key, value in network.state_dict().items():
        assert torch.equal(value, own[key])
    with tracks.applied_to(network, ONLINE):
        assert torch.equal(
            weights(network),
            torch.cat([own[k].double().flatten() for k, p in network.named_parameters() if p.requires_grad]),
        )


def interrupted(tracks: Tracks, network: nn.Module) -> None:
    with tracks.applied_to(network, "constant"):
        raise RuntimeError("out of memory")


def test_an_error_inside_does_not_cost_the_weights():
    network, tracks = module(), Tracks(AVERAGINGS)
    tracks.start(network)
    walk(network, 1)
    tracks.update(network)
    own = weights(network)
    with pytest.raises(RuntimeError, match="out of memory"):
        interrupted(tracks, network)
    assert torch.equal(weights(network), own)


@pytest.mark.parametrize("starts_first", [True, False])
def test_a_resumed_run_goes_on_bit_for_bit(tmp_path, starts_first):
    """Whether the module is known before or after the checkpoint is read."""
    network, tracks = module(), Tracks(AVERAGINGS)
    tracks.start(network)
    for step in range(1, 8):
        walk(network, step)
        tracks.update(network)
    torch.save({"tracks": tracks.state_dict(), "module": network.state_dict()}, tmp_path / "last")
    saved = torch.load(tmp_path / "last", weights_only=True)
    other, resumed = module(seed=1), Tracks(AVERAGINGS)
    if starts_first:
        resumed.start(other)
    other.load_state_dict(saved["module"])
    resumed.load_state_dict(saved["tracks"])
    resumed.start(other)
    for step in range(8, 15):
        for n, t in ((network, tracks), (other, resumed)):
            walk(n, step)
            t.update(n)
    assert resumed.step == tracks.step == 14
    for name in AVERAGINGS:
        assert torch.equal(shadow(resumed, name), shadow(tracks, name))


def test_frozen_weights_and_buffers_that_are_not_saved_are_left_alone():
    network, tracks = module(), Tracks({"a": Constant(0.5)})
    tracks.start(network)
    assert set(tracks.shadows["a"]) == {"0.weight", "0.bias", "1.weight", "2.weight", "2.bias"}


def test_names_and_refusals():
    tracks = Tracks(AVERAGINGS)
    assert tracks.names == [*AVERAGINGS, ONLINE]
    network = module()
    tracks.start(network)
    with (
        pytest.raises(KeyError, match="no EMA 'best'; there are constant, warm, half, power, online"),
        tracks.applied_to(network, "best"),
    ):
        pass
    with pytest.raises(ValueError, match="cannot be called 'online'"):
        Tracks({ONLINE: Constant(0.9)})
    only = Tracks({"constant": Constant(0.9)})
    only.start(network)
    with pytest.raises(ValueError, match="no EMA half, power, warm"):
        tracks.load_state_dict(only.state_dict())
    assert Tracks({}).names == [ONLINE]


class Sum(Averaging):
    def beta(self, step: int) -> float:
        return 1 - 1 / step


def test_a_new_averaging_is_one_class():
    """The plain mean of all weights so far."""
    network, tracks = module(), Tracks({"mean": Sum()})
    tracks.start(network)
    seen = []
    for step in range(1, 11):
        walk(network, step)
        tracks.update(network)
        seen.append(weights(network))
    torch.testing.assert_close(shadow(tracks, "mean"), torch.stack(seen).mean(0), rtol=1e-5, atol=1e-6)
