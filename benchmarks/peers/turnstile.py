"""Lets Lightning's Trainer go on for some steps at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.peers.training import finish


class Turnstile(pl.Callback):
    """`fit` runs in a thread of its own and stops here, at the beginning of a step, until it is let through for some more.

    What is timed is from the beginning of a step to that of the step `steps` later: everything that the Trainer does in between, its
    fetching of data, its hooks, all callbacks and the log. Nothing else runs meanwhile, since who lets it through waits.
    """

    def __init__(self) -> None:
        self._steps: SimpleQueue[int] = SimpleQueue()
        self._ends: SimpleQueue[float | BaseException] = SimpleQueue()
        self._left = 0
        self._began: float | None = None
        self._thread: threading.Thread | None = None

    def start(self, fit: Callable[[], object], threads: int) -> None:
        """Begins a training in a thread of its own.

        Whoever starts it should have computed with one thread alone so far. OpenMP keeps threads for each thread that computes with
        several, and when there are more of them than processors they no longer wait for each other awake: a step then takes a third longer.

        Args:
            fit: Trains, with this among its callbacks.
            threads: With which torch computes there.
        """

        def run() -> None:
            torch.set_num_threads(threads)
            try:
                fit()
                self._ends.put(RuntimeError("training ended by itself: give the Trainer more max_steps"))
            except _Over:
                return
            except BaseException as error:
                self._ends.put(error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def let_through(self, steps: int) -> float:
        """Seconds that the steps took."""
        self._steps.put(steps)
        end = self._ends.get()
        if isinstance(end, BaseException):
            raise end
        return end

    def stop(self) -> None:
        """Ends training where it is."""
        assert self._thread is not None, "not started"
        self._steps.put(0)
        self._thread.join()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._left == 0:
            finish(pl_module.device)
            if self._began is not None:
                self._ends.put(time.perf_counter() - self._began)
            self._left = self._steps.get()
            if self._left == 0:
                raise _Over
            self._began = time.perf_counter()
        self._left -= 1


class _Over(Exception):
    """Nobody comes for another turn."""
