"""How far drawing is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class DrawingProgress:
    """Images done, images per second and time left.

    shown      whether this process shows it
    what       is done with the images: drawn, embedded
    interval   seconds between lines where there is no terminal
    """

    def __init__(self, shown: bool, what: str = "drawn", interval: float = 30.0):
        self._console = Console(quiet=not shown)
        self._what = what
        self._interval = interval
        self._bar: Progress | None = None

    @contextmanager
    def showing(self, total: int, drawn: int | None) -> Iterator[None]:
        """While images from number `drawn` to `total` are drawn; None: the first call of `advance` says where it begins."""
        self._total, self._before = total, drawn
        self._began = self._told = time.monotonic()
        if self._console.quiet or drawn == total:
            yield
            return
        if drawn:
            self._tell_before(drawn)
        if not self._console.is_terminal:
            yield
            return
        columns = (
            TextColumn(f"images {self._what}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[speed]} images/s"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console) as self._bar:
            self._task = self._bar.add_task("", total=total, completed=drawn or 0, speed="...")
            yield
        self._bar = None

    def say(self, message: str) -> None:
        """A line to the user."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def advance(self, drawn: int) -> None:
        """So many are drawn now."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._began = drawn, now
            if 0 < drawn < self._total:
                self._tell_before(drawn)
        speed = (drawn - self._before) / max(now - self._began, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=drawn, speed=f"{speed:.3g}")
        elif now - self._told >= self._interval and speed > 0:
            self._told = now
            left = (self._total - drawn) / speed
            self._console.print(
                f"{drawn} of {self._total} images {self._what}, {speed:.3g} images/s, {_clock(left)} left"
            )

    def _tell_before(self, drawn: int) -> None:
        self._console.print(f"{drawn} of {self._total} images {self._what} already")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
