"""Who is waited for. Every process says all the time where it is, so that one that has stopped answering has a name.

Without it the processes that wait would fail, each with a page of C++, and the one that hangs would look innocent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from difflab.cluster.attempts import record_end
from difflab.distributed.meeting import meeting
from difflab.distributed.placement import host
from difflab.reading.json import dumps
from difflab.runtime.process import is_beside_first


@dataclass(frozen=True)
class Beat:
    """Where a process is.

    Attributes:
        number: Of the beat; one that no longer grows is of a process that has stopped.
        count: Stations that its main thread has passed. Every process passes the same ones.
        step: Optimizer steps done.
        at: What it does since the last station.
        over: Whether it has reached its end.
    """

    host: str
    number: int
    count: int
    step: int
    at: str
    over: bool = False


def accused(mine: Beat, others: Mapping[int, Beat], silent: Mapping[int, float]) -> int | None:
    """The process for which this one waits: one that has stopped answering, or the one that is furthest behind. None if nobody is.

    Args:
        mine: Where this process is.
        others: Where each other one was when it last said so.
        silent: Seconds since then, of those that no longer do.
    """
    stopped = [rank for rank, beat in others.items() if rank in silent and not beat.over]
    behind = [rank for rank, beat in others.items() if beat.count < mine.count and not beat.over]
    chosen = stopped or behind
    return min(chosen, key=lambda rank: (others[rank].count, rank)) if chosen else None


class Pulse(pl.Callback):
    """Ends this process, with one line for all, once it has waited too long for another one.

    Args:
        timeout: How long it waits. Time in which the whole process is stopped does not count.
    """

    def __init__(self, timeout: timedelta):
        self.timeout = timeout.total_seconds()
        self.interval = min(5.0, self.timeout / 10)
        self._station, self._over = (0, 0, "begins"), threading.Event()
        self._thread: threading.Thread | None = None
        self._others: dict[int, Beat] = {}
        self._kill: Callable[[], None] = lambda: None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size == 1:
            return
        launcher: Any = trainer.strategy.launcher
        self._kill = lambda: _kill(getattr(launcher, "procs", []))
        self._over.clear()
        self._others.clear()
        place = f"{trainer.default_root_dir}/{trainer.global_step}"
        store = PrefixStore(place, _store())
        arguments = (store, trainer.global_rank, trainer.world_size)
        self._talk(store, trainer.global_rank, 0, Beat(host(), 0, 0, trainer.global_step, "begins"))
        self._thread = threading.Thread(target=self._watch, args=arguments, name="pulse", daemon=True)
        self._thread.start()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._pass(trainer, "computes")

    def on_before_backward(self, trainer: pl.Trainer, pl_module: Any, loss: Any) -> None:
        self._pass(trainer, "exchanges gradients")

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        self._pass(trainer, "updates weights")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._pass(trainer, "ends the step and fetches the next batch")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pass(trainer, "evaluates")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._pass(trainer, "ends the evaluation")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._end()

    def _pass(self, trainer: pl.Trainer, at: str) -> None:
        self._station = (self._station[0] + 1, trainer.global_step, at)

    def _end(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None

    def _watch(self, store: Store, rank: int, size: int) -> None:
        """In a thread of its own. What it asks of others it asks in a further one: a question to a process that is stopped has no end."""
        number, before, talk = 0, self._station[0], threading.Thread()
        still = unanswered = 0.0
        seen: dict[int, tuple[int, float]] = {}
        while not self._over.wait(self.interval):
            number += 1
            count, step, at = self._station
            still = still + self.interval if count == before else 0.0
            before = count
            mine = Beat(host(), number, count, step, at)
            asks = still >= self.timeout / 2
            if talk.is_alive():
                unanswered += self.interval
            else:
                unanswered = 0.0
                knows_all = sum(bool(beat.host) for beat in self._others.values()) == size - 1
                heard = 0 if knows_all and not asks else size
                talk = threading.Thread(target=self._talk, args=(store, rank, heard, mine), daemon=True)
                talk.start()
                talk.join(min(1.0, self.interval))
            if not asks:
                seen.clear()
                continue
            for other, beat in self._others.items():
                if other not in seen or beat.number != seen[other][0]:
                    seen[other] = beat.number, still
            silent = {other: still - since for other, (_, since) in seen.items() if still - since > 4 * self.interval}
            if unanswered > 3 * self.interval and rank != 0:
                silent = {0: unanswered}
                self._others.setdefault(0, Beat("", 0, 0, step, at))
            if still >= self.timeout and (other := accused(mine, self._others, silent)) is not None:
                speaks = rank == 1 if talk.is_alive() else _first(store)
                self._give_up(other, other in silent, still, step, speaks)
        if not talk.is_alive():
            count, step, at = self._station
            self._talk(store, rank, 0, Beat(host(), number + 1, count, step, at, over=True))

    def _talk(self, store: Store, rank: int, size: int, mine: Beat) -> None:
        """Says where this process is, and hears where others are."""
        try:
            store.set(str(rank), dumps(asdict(mine)))
            for other in set(range(size)) - {rank}:
                key = str(other)
                self._others[other] = (
                    Beat(**json.loads(store.get(key))) if store.check([key]) else Beat("", 0, 0, 0, "begins")
                )
        except RuntimeError:  # who keeps the store has gone: the group's own operations say so
            return

    def _give_up(self, other: int, silent: bool, waited: float, step: int, speaks: bool) -> None:
        beat = self._others[other]
        what = "no longer answers" if silent else f"stands still ({beat.at})"
        where = f"process {other}{f' on {beat.host}' if beat.host else ''}"
        message = (
            f"{where} is silent: it {what} at optimizer step {step}, and the others have waited {waited:.0f} s for it"
        )
        record_end(1, step, message, [beat.host] if beat.host else [])
        if speaks:
            print(f"error: {message}; run the same command again to go on", file=sys.stderr, flush=True)
        if other == 0 and is_beside_first():
            os.kill(os.getppid(), signal.SIGKILL)  # it would never end, nor be ended by anybody
        self._kill()
        os._exit(1)


def _first(store: Store) -> bool:
    try:
        return store.add("given up", 1) == 1
    except RuntimeError:
        return True


def _store() -> Store:
    """Where the processes have met."""
    if meeting().place.size > 1:
        return meeting().store("pulse")
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(address, port, is_master=False, timeout=timedelta(minutes=1))


def _kill(processes: list[Any]) -> None:
    """Those that Lightning has started beside this one; one that is stopped ends in no other way."""
    for process in processes:
        process.kill()
