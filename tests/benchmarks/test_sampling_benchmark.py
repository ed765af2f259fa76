"""The benchmark of drawing compares the same work: equal networks, and the same images from the same noise."""

import os
from itertools import count

import pytest
import torch
from benchmarks.apart import Apart
from benchmarks.settings import Settings
from here import Here

from benchmarks import drawers, sampling
from difflab.noise import ImageNoise

pytest.importorskip("diffusers")

TASKS = {f"{task.name}-{task.size}": task for task in sampling.tasks(Settings(1, True, torch.device("cpu"), None))}  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _memory_of_the_tests_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(drawers, "keep_freed_memory", lambda: False)


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
def test_both_draw_the_same_images_with_equal_networks(name, monkeypatch):
    task = TASKS[name]
    drawn = _our_noise(task.batch, (3, task.size, task.size), task.steps)
    for module in ("pipelines.ddpm.pipeline_ddpm", "pipelines.ddim.pipeline_ddim", "schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", drawn)
    monkeypatch.setattr("benchmarks.diffusers_drawing.randn_tensor", drawn)
    monkeypatch.setattr(drawers, "_facts", lambda *_: {})  # it draws once, and the noise is for once
    theirs, ours = drawers.diffusers(task)[0](), drawers.difflab(task)[0]()
    # bytes, so a rounding can fall to either side
    difference = (theirs * 255).round() - ours
    assert difference.abs().max() <= 1
    assert (difference != 0).float().mean() < 0.01
    assert ours.float().std() > 10  # they are images of something


def test_what_is_counted_is_equal():
    flops = {}
    for name, task in TASKS.items():
        (_, ours), (_, theirs) = drawers.difflab(task), drawers.diffusers(task)
        assert ours == theirs
        flops[name] = ours["GFLOP/image"]
    # guidance asks twice, Heun 2 N - 1 times
    assert flops["DDIM, classifier-free guidance-8"] == pytest.approx(2 * flops["DDIM-8"])
    assert flops["Heun-8"] == pytest.approx(flops["DDIM-8"] * 3 / 2)
    assert drawers.network_alone(TASKS["DDPM-8"])[1]["GFLOP/image"] == flops["DDPM-8"]


def test_each_task_is_measured_by_all_who_can_draw_it(settings, monkeypatch):
    monkeypatch.setattr(sampling, "Apart", Here)
    found = list(sampling.measure(settings))
    assert [m.case.split(",")[0] for m in found] == ["DDPM", "DDIM", "DDIM", "Heun", "DDIM"]
    assert found[0].values.keys() == {"difflab", "network alone", "diffusers"}
    assert all(m.values.keys() == {"difflab", "diffusers"} for m in found[1:])
    assert all(m.facts["difflab"] == m.facts["diffusers"] for m in found)
    assert all(rate > 0 for m in found for values in m.values.values() for rate in values)


def test_without_diffusers_difflab_is_measured_by_itself(settings, monkeypatch, capsys):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    assert sampling.contenders(settings).keys() == {"difflab", "network alone"}
    assert "diffusers is not installed" in capsys.readouterr().err


def _process(task):
    if task == "broken":
        raise ValueError("no such task")
    return (lambda: os._exit(3)) if task == "dies" else (lambda: None), {"process": os.getpid(), "task": task}


def test_what_goes_wrong_in_a_contenders_process_is_said_here():
    with Apart(_process) as contender:
        assert contender.prepare("a")["process"] != os.getpid()
        assert 0 < contender.turn() < 1
        with pytest.raises(ValueError, match="no such task"):
            contender.prepare("broken")
        assert contender.prepare("dies")["task"] == "dies"
        with pytest.raises(RuntimeError, match="ended by itself, with 3"):
            contender.turn()
