"""Averages of the weights, as training sees them."""

import pytest
import torch

from difflab.ema import Constant, WarmUp
from difflab.training.callbacks import EMACallback
from tiny import AtEachStep, fit, tiny_denoiser, tiny_module, weights


@pytest.mark.parametrize("accumulate", [1, 3])
def test_one_update_for_each_optimizer_step(accumulate):
    """Against e <- beta e + (1 - beta) theta over the weights after each optimizer step, not after each micro-batch."""
    module = tiny_module(ema=EMACallback({"fast": Constant(0.5), "slow": WarmUp(0.9)}))
    averages = {track: weights(module.denoiser) for track in ("fast", "slow")}
    start = weights(module.denoiser)
    seen = [0]

    def follow(trainer, module):
        if trainer.global_step == seen[0]:
            return
        seen[0] = step = trainer.global_step
        for track, beta in (("fast", 0.5), ("slow", min(0.9, (1 + step) / (10 + step)))):
            for name, value in weights(module.denoiser).items():
                averages[track][name] = beta * averages[track][name] + (1 - beta) * value

    fit(module, [AtEachStep(follow)], steps=5, accumulate=accumulate)
    assert module.ema.tracks.step == 5
    for track, average in averages.items():
        torch.testing.assert_close(module.ema.tracks.shadows[track], average)
        assert any(not torch.equal(average[name], start[name]) for name in start)


def test_within_the_context_the_denoiser_has_the_tracks_weights():
    module = tiny_module()
    fit(module, steps=3)
    own, average = weights(module.denoiser), module.ema.tracks.shadows["fast"]
    with module.ema.applied_to(module.denoiser, "fast"):
        torch.testing.assert_close(weights(module.denoiser), average, rtol=0, atol=0)
    assert all(torch.equal(value, own[name]) for name, value in module.denoiser.named_parameters())
    assert any(not torch.equal(own[name], average[name]) for name in own)


def test_it_works_without_a_trainer():
    denoiser, ema = tiny_denoiser(), EMACallback({"fast": Constant(0.5)})
    ema.tracks.start(denoiser)
    before = weights(denoiser)
    with torch.no_grad():
        for p in denoiser.parameters():
            p.add_(1.0)
    ema.tracks.update(denoiser)
    with ema.applied_to(denoiser, "fast"):
        torch.testing.assert_close(weights(denoiser), {name: value + 0.5 for name, value in before.items()})


def test_the_averages_go_on_from_a_checkpoint(tmp_path):
    whole = tiny_module()
    fit(whole, steps=6)
    first = tiny_module()
    fit(first, steps=4).save_checkpoint(tmp_path / "four.ckpt")
    second = tiny_module()
    fit(second, steps=6, checkpoint=tmp_path / "four.ckpt")
    assert second.ema.tracks.step == 6
    torch.testing.assert_close(second.ema.tracks.shadows, whole.ema.tracks.shadows, rtol=0, atol=0)


def test_an_average_that_the_checkpoint_has_not_is_refused(tmp_path):
    fit(tiny_module(), steps=2).save_checkpoint(tmp_path / "two.ckpt")
    other = tiny_module(ema=EMACallback({"fast": Constant(0.5), "slow": Constant(0.9)}))
    with pytest.raises(ValueError, match="no EMA slow"):
        fit(other, steps=4, checkpoint=tmp_path / "two.ckpt")
