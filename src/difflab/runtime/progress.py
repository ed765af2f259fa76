"""How far work is, for a person: one line that renews itself in a terminal, a line now and then in a log.

    with progress.task("sampling", total=10_000, unit="images") as task:
        task.advance(250)

Work deep inside of something that is shown, as an evaluation inside of a training, says `reporting(...)`: it is shown in place of what is
around it while it lasts, and not at all where nobody shows anything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import Progress as RichProgress
from rich.progress import ProgressColumn
from rich.progress import Task as RichTask
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from difflab.formatting import clock, number

REFRESH = 5.0
"""Times a second that the line in a terminal renews itself."""

FIRST_LINE, LINES = 30.0, 20
"""Where there is no terminal: seconds before the first line and at least between two, and about how many there are in all."""


class Task:
    """Work that is shown.

    Args:
        display: Shows it.
        what: Is done.
        total: When it is finished.
        done: How much is done already; None where the first call of `advance` says so.
        unit: Of both.

    Attributes:
        details: What else there is to say: the first is the last to be left out in a narrow terminal.
        left: Seconds that are left; None if nobody knows.
        besides: What comes besides, of which nobody knows how long it takes.
    """

    def __init__(self, display: Progress, what: str, total: int, done: int | None, unit: str):
        self.what, self.total, self.unit = what, total, unit
        self.done, self._before = done or 0, done
        self.details: Sequence[str] = ()
        self.left: float | None = None
        self.besides = ""
        self._display = display
        self._began = self._told = self._drawn = time.monotonic()

    def advance(self, done: int) -> None:
        """So much is done now; the speed and the time that is left follow from it."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._began = done, now
        speed = (done - self._before) / max(now - self._began, 1e-9)
        if speed > 0:
            self.details, self.left = (f"{number(speed)} {self.unit}/s",), (self.total - done) / speed
        self.done = done
        if self._display.is_live:
            self.draw()
        elif now - self._told >= max(FIRST_LINE, (now - self._began + (self.left or 0.0)) / LINES):
            self.tell()

    def draw(self) -> None:
        """Renews the line in the terminal, unless that was done just before."""
        now = time.monotonic()
        if now - self._drawn >= 1 / REFRESH or self.done >= self.total:
            self._drawn = now
            self._display.draw(self)

    def tell(self) -> None:
        """A line, where there is no terminal."""
        self._told = time.monotonic()
        self._display.tell(f"{self.what}: {', '.join([self.counted, *self.details, *self.time_left])}")

    @property
    def counted(self) -> str:
        return f"{self.done:,}/{self.total:,} {self.unit}"

    @property
    def time_left(self) -> list[str]:
        return [] if self.left is None else [f"{clock(self.left)} left{self.besides}"]


class Progress:
    """Shows tasks, of several that are inside of each other the innermost.

    Args:
        shown: Whether this process shows anything: one of those that work together does.
        console: Where; None for the standard output.
    """

    def __init__(self, shown: bool, console: Console | None = None):
        self.shown = shown
        self._console = Console() if console is None else console
        self._tasks: list[Task] = []
        self._live: RichProgress | None = None

    @property
    def is_live(self) -> bool:
        """Whether a line renews itself."""
        return self._live is not None

    @contextmanager
    def task(self, what: str, total: int, done: int | None = 0, unit: str = "images") -> Iterator[Task]:
        """Work that lasts as long as the context, and is shown meanwhile."""
        task = Task(self, what, total, done, unit)
        if not self.shown or done == total:
            yield task
            return
        outer, self._tasks = self._tasks, [*self._tasks, task]
        if not outer:
            self._begin()
        try:
            if done:
                self.say(f"{task.what}: {task.counted} are there already")
            self.draw(task)
            yield task
        finally:
            self._tasks = outer
            if outer:
                self.draw(outer[-1])
            else:
                self._end(task)

    def say(self, line: str) -> None:
        """A line of its own, above the one that renews itself."""
        if self.shown:
            print(line, flush=True)

    def tell(self, line: str) -> None:
        """A line, where none renews itself."""
        if self.shown and not self.is_live:
            print(line, flush=True)

    def draw(self, task: Task) -> None:
        """Renews the line, if this is the innermost task."""
        if self._live is not None and self._tasks and self._tasks[-1] is task:
            self._live.update(self._live.task_ids[0], total=task.total, completed=task.done, shown=task, refresh=True)

    def _begin(self) -> None:
        _displays.append(self)
        # `is_terminal` is true of a pipe, too, where $FORCE_COLOR asks for colours
        if self._console.is_interactive and self._console.file.isatty():
            self._live = RichProgress(
                _Line(),
                console=self._console,
                refresh_per_second=REFRESH,
                expand=True,
                redirect_stderr=sys.stderr.isatty(),  # what goes to a file is to stay in it
            )
            self._live.add_task("", shown=self._tasks[-1])
            self._live.start()

    def _end(self, task: Task) -> None:
        _displays.remove(self)
        if self._live is not None:
            self._live.update(self._live.task_ids[0], total=task.total, completed=task.done, shown=task)
            self._live.stop()
            self._live = None


_displays: list[Progress] = []
"""What shows something in this process now, the innermost last."""


@contextmanager
def reporting(what: str, total: int, unit: str = "images") -> Iterator[Task]:
    """Work inside of what is shown, if anything is."""
    display = _displays[-1] if _displays else Progress(shown=False)
    with display.task(what, total, unit=unit) as task:
        yield task


class _Line(ProgressColumn):
    """A task in one line, whatever the width: what has no room is left out, the bar before the numbers."""

    def __init__(self) -> None:
        super().__init__(Column(ratio=1, no_wrap=True))

    def render(self, task: RichTask) -> _OfTask:
        return _OfTask(task.fields["shown"])


class _OfTask:
    """The line, made for the width that there is."""

    def __init__(self, task: Task):
        self._task = task

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        task, width = self._task, options.max_width
        left, details, bar = task.time_left, list(task.details), 0

        def text() -> str:
            return "  ".join([task.counted, *details, *left])

        while details and len(task.what) + 2 + len(text()) > width:
            details.pop()
        room = width - len(task.what) - len(text()) - 4
        if room >= 6:
            bar = min(room, 40)
        yield Text(f"{task.what}  ", end="", justify="default")
        if bar:
            yield ProgressBar(task.total, task.done, width=bar)
            yield Text("  ", end="", justify="default")
        yield Text(
            text()[: max(width - len(task.what) - 2 - (bar and bar + 2), 0)], style="cyan", end="", justify="default"
        )
