"""Contenders in processes of their own: each with the settings of a process that its users' have, and none with another's memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

from benchmarks.contest import clocked

Prepare = Callable[[Any], tuple[Callable[[], object], dict[str, Any]]]
"""Task -> (the work, what is known of it)."""


class Apart:
    """A process that does the work of one task after the other, once per turn. Between turns it sleeps.

    Args:
        prepare: Runs in the process; a function of a module, or a partial of one.
    """

    def __init__(self, prepare: Prepare):
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, prepare, torch.get_num_threads()), daemon=True)
        self._process.start()
        there.close()

    def prepare(self, task: Any) -> dict[str, Any]:
        """Makes it ready for a task; what is known of its work."""
        return self._asked(("prepare", task))

    def turn(self) -> float:
        """Seconds that the work took."""
        return self._asked(("turn", None))

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()  # at which it ends
        self._process.join(10)
        self._process.kill()

    def _asked(self, request: tuple[str, Any]) -> Any:
        self._pipe.send(request)
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            self._process.join()
            raise RuntimeError(f"a contender's process ended by itself, with {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(pipe: Connection, prepare: Prepare, threads: int) -> None:
    torch.set_num_threads(threads)
    turn = None
    while True:
        try:
            kind, task = pipe.recv()
        except EOFError:
            return
        try:
            if kind == "prepare":
                turn = None  # lets go of the task before
                work, answer = prepare(task)
                turn = clocked(work)
                del work
            else:
                assert turn is not None
                answer = turn()
        except Exception as error:
            answer = error
        pipe.send(answer)
