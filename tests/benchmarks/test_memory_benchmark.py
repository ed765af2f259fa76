"""The memory benchmark: a peak is what was taken between the beginning and the end, and no less than a training must hold."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.peers import Architecture, Training, Work
from benchmarks.peers.contenders import PLAIN, Contender
from benchmarks.peers.peak import STEPS, peak_of
from benchmarks.settings import Settings
from benchmarks.training import TINY, in_float32

from benchmarks import memory

CPU = torch.device("cpu")
MIB = 2**20


class Taking(Training):
    """Takes memory at a step and gives it back."""

    def __init__(self, bytes_taken: int):
        self.work = Work(1, 1.0)
        self.bytes_taken = bytes_taken
        self.steps = 0

    def run(self, steps: int) -> float:
        self.steps += steps
        for _ in range(steps):
            torch.ones(self.bytes_taken // 4)
        return 0.0

    def close(self) -> None: ...


class Greedy:
    """A contender whose tiny network takes more than its large one."""

    def __init__(self) -> None:
        self.made: list[Taking] = []

    def training(self, architecture: Architecture, batch: int, device: torch.device, scratch: Path) -> Training:
        self.made.append(Taking(300 * MIB if architecture == TINY else 100 * MIB))
        return self.made[-1]


def measured(folder: Path) -> tuple[int, Work, list[int]]:
    greedy = Greedy()
    peak, work = peak_of(greedy, replace(TINY, image_size=32), TINY, 2, CPU, folder)  # pyright: ignore[reportArgumentType]
    return peak, work, [training.steps for training in greedy.made]


def test_the_peak_is_that_of_the_training(tmp_path: Path):
    """In a process of its own, as in the benchmark: here other tests may have had memory kept."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        peak, work, steps = process.submit(measured, tmp_path).result()
    assert peak == pytest.approx(100 * MIB, rel=0.1)
    assert work == Work(1, 1.0)
    assert steps == [1, STEPS]


def test_weights_gradients_moments_and_average_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process of its own, where a network of 12 MiB cannot be trained in less than five times that."""
    wide = replace(TINY, width=64)
    case = replace(in_float32(TINY, 1), architecture=wide, batch=1, contenders={PLAIN: Contender(PLAIN)})
    monkeypatch.setattr(memory, "in_float32", lambda architecture, steps: case)
    (found,) = memory.measure(Settings(rounds=1, quick=False, device=CPU, scratch=tmp_path))
    assert set(found.values) == {PLAIN}
    assert found.facts[PLAIN]["weights MiB"] == pytest.approx(4 * found.facts[PLAIN]["parameters"] / MIB)
    assert 5 * found.facts[PLAIN]["weights MiB"] < found.values[PLAIN][0] < 30 * found.facts[PLAIN]["weights MiB"]
    assert not found.more_is_better
