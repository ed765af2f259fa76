"""The benchmark of drawing compares the same work: equal networks, and the same images from the same noise."""

from itertools import count

import pytest
import torch
from benchmarks.settings import Settings

from benchmarks import sampling
from difflab.noise import ImageNoise

pytest.importorskip("diffusers")

TASKS = {f"{task.name}-{task.size}": task for task in sampling.tasks(Settings(1, True, torch.device("cpu"), None))}  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path):
    return Settings(1, True, torch.device("cpu"), tmp_path)


def _our_noise(batch, shape, steps):
    """What draws in place of diffusers' randn_tensor: x_T and the noise of each step as difflab has them."""
    noise = ImageNoise(0, torch.arange(batch))
    calls = count()

    def drawn(size, *_, **__):
        assert tuple(size) == (batch, *shape)
        call = next(calls)
        z = noise.normal("x_T", shape) if call == 0 else noise.normal("step", shape, step=steps + 1 - call)
        return z.float()

    return drawn


@pytest.mark.parametrize("name", TASKS)
def test_both_draw_the_same_images_with_equal_networks(name, settings, monkeypatch):
    from benchmarks.diffusers_drawing import DRAWINGS
    from benchmarks.diffusers_twin import twin

    task = TASKS[name]
    network = sampling.network_of(task, settings)
    unet = twin(network, sampling.DEPTH).eval()
    drawn = _our_noise(task.batch, (3, task.size, task.size), task.steps)
    for module in ("pipelines.ddpm.pipeline_ddpm", "pipelines.ddim.pipeline_ddim", "schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", drawn)
    monkeypatch.setattr("benchmarks.diffusers_drawing.randn_tensor", drawn)
    theirs = DRAWINGS[task.name](unet, task.batch, task.steps, sampling.SCALE)()
    ours = sampling.ours(task, network, settings.device)()
    # bytes, so a rounding can fall to either side
    difference = (theirs * 255).round() - ours
    assert difference.abs().max() <= 1
    assert (difference != 0).float().mean() < 0.01
    assert ours.float().std() > 10  # they are images of something


def test_what_is_counted_is_equal(settings):
    found = list(sampling.measure(settings))
    assert [m.values.keys() >= {"difflab", "diffusers"} for m in found] == [True] * len(TASKS)
    for measurement, task in zip(found, TASKS.values(), strict=True):
        ours, theirs = measurement.facts["difflab"], measurement.facts["diffusers"]
        assert ours == theirs
        assert f"{task.size}x{task.size}" in measurement.case
    flops = {name: m.facts["difflab"]["GFLOP/image"] for name, m in zip(TASKS, found, strict=True)}
    # guidance asks twice, Heun 2 N - 1 times
    assert flops["DDIM, classifier-free guidance-8"] == pytest.approx(2 * flops["DDIM-8"])
    assert flops["Heun-8"] == pytest.approx(flops["DDIM-8"] * 3 / 2)
    assert "network alone" in found[0].values


def test_the_network_alone_makes_the_calls_that_drawing_makes(settings):
    task = TASKS["DDPM-8"]
    network = sampling.network_of(task, settings)
    calls = []
    network.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape))
    sampling.ours(task, network, settings.device)()
    of_drawing, calls[:] = list(calls), []
    sampling.alone(task, network, settings.device)()
    assert calls == of_drawing == [(2, 3, 8, 8)] * 2


def test_without_diffusers_difflab_is_measured_by_itself(settings, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    first = next(sampling.measure(settings))
    assert first.values.keys() == {"difflab", "network alone"}
    assert first.baseline == "network alone"
    assert "diffusers is not installed" in capsys.readouterr().err
