"""Sweeps (-m) of a command: all rows are checked before the first begins, every row is run, and the end says which failed and why."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import initialize_config_dir, main
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback

from difflab.config.keys import ConfigError, compose_or_explain
from difflab.config.paths import config_directory
from difflab.config.sweep_rows import Ended, Row, RowEnd, is_stopped, read_rows, stop, swept
from difflab.runtime.process import REQUEUE_EXIT_CODE, launched_rank
from difflab.runtime.signals import Stage, signals

if TYPE_CHECKING:
    from omegaconf import DictConfig

FLAGS = ("-m", "--multirun")

GRAVEST_FIRST = (1, 4, 3, 2)
"""Exit statuses of rows that failed, in the order in which they become the sweep's: a fault of difflab, a disk, divergence, the command."""

_SEARCHED = "hydra/sweeper="
"""How a word begins that has another sweeper than Hydra's own choose the rows."""

WAITING = Stage("the jobs go on, and the same command waits for them again; scancel ends them", REQUEUE_EXIT_CODE)
"""Of a sweep whose rows are jobs of a cluster."""

_row: Row | None = None
"""The task of the sweep that this process runs."""

_typed: list[str] = []
"""The command as the user typed it, which the rows record."""


def multirun(config_name: str, function: Callable[[DictConfig], Any], check: Callable[[DictConfig], object]) -> None:
    """Runs a command for every row of a sweep, and ends the process with the sweep's status.

    The status is 0 if all rows came to their end; 75 if the sweep was stopped before all rows had their turn; else the gravest of the
    failed rows' (`GRAVEST_FIRST`); 75 if none failed but some are to be started again.

    Args:
        config_name: conf/<config_name>.yaml.
        function: Runs one row.
        check: Raises a ConfigError for a configuration that cannot be run.

    Raises:
        ConfigError: For the first row that cannot be run; nothing was begun.
    """
    global _row
    words = [word for word in sys.argv[1:] if word not in FLAGS]
    rows = [] if any(word.startswith("-") for word in words) else _checked(config_name, words, check)
    own = [f"+hydra.callbacks.rows._target_={Begun.__module__}.{Begun.__qualname__}"]
    if any(word.startswith(_SEARCHED) for word in words) and not any("max_failure_rate" in word for word in words):
        own.append("hydra.sweeper.max_failure_rate=1")
    _typed[:] = sys.argv
    sys.argv[1:] = [FLAGS[0], *words, *own]  # argparse takes no words on both sides of a flag
    _row = Row(function)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors of the sweep itself are told here
    trouble = ""
    try:
        main(config_path=str(config_directory()), config_name=config_name, version_base="1.3")(_row)()
    except Exception as error:
        trouble = " ".join(f"{error}".split())[:1000] or type(error).__name__
    _end(_row.folder, _row.ended, rows, trouble)


class Begun(Callback):
    """Learns from Hydra where the sweep keeps its notes."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        assert _row is not None, "Hydra runs a sweep that difflab has not begun"
        sys.argv[:] = _typed
        _row.folder = Path(str(config.hydra.sweep.dir)).absolute() / f"rows-{os.getpid()}"

        launcher = str(config.hydra.launcher._target_)
        if launcher.endswith("BasicLauncher"):
            return  # the rows listen for themselves
        if "submitit" in launcher:
            from difflab.config.sweep_jobs import wait_for_all

            wait_for_all()
        if launcher.endswith("SlurmLauncher"):
            signals.enter(WAITING)
        else:
            signals.enter(Stage("the rows that run are saved, no other is begun", tell=_pass_on))
            signal.pthread_sigmask(
                signal.SIG_BLOCK, [signal.SIGINT]
            )  # which a terminal sends to the rows' processes, too


def _pass_on(number: int) -> None:
    """Tells the rows that run."""
    assert _row is not None
    stop(_row.folder)
    for row in read_rows(_row.folder).values():
        if row.status is None and row.begun:
            with suppress(ProcessLookupError):
                os.kill(row.process, signal.SIGTERM)


def _checked(config_name: str, words: Sequence[str], check: Callable[[DictConfig], object]) -> list[list[str]]:
    """The words of each row; none where a search will choose them, of which the first and the last are checked."""
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    choices = [list(choices_of_word(override)) for override in overrides]
    searched = any(word.startswith(_SEARCHED) for word in words)
    corners = [[choice[0] for choice in choices], [choice[-1] for choice in choices]]
    rows = corners if searched else [list(row) for row in product(*choices)]
    names = swept(rows)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        for number, row in enumerate(rows):
            try:
                _check(config_name, row, check)
            except ConfigError as error:
                if len(rows) == 1 or not names:
                    raise
                which = " ".join(word for word in row if word in names)
                raise ConfigError(f"row {number} ({which}): {error}. No row was begun") from error
    GlobalHydra.instance().clear()
    return [] if searched else rows


def choices_of_word(override: Override) -> Iterator[str]:
    """An override as each row has it; an interval by its ends."""
    key, value = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        yield f"{key}={override.get_value_element_as_str()}" if not override.is_delete() else f"{override.input_line}"
    elif isinstance(value, IntervalSweep):
        yield from (f"{key}={end}" for end in (value.start, value.end))
    else:
        yield from (f"{key}={choice}" for choice in override.sweep_string_iterator())


def _check(config_name: str, row: list[str], check: Callable[[DictConfig], object]) -> None:
    from omegaconf import open_dict

    config = compose_or_explain(config_name, row)
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        with open_dict(config):
            del config["hydra"]
        check(config)
    finally:
        HydraConfig.instance().cfg = before


def _end(folder: Path, known: dict[int, RowEnd], rows: Sequence[Sequence[str]], trouble: str) -> None:
    """Says how the sweep ended, and ends the process."""
    found = known | read_rows(folder)
    for number, words in enumerate(rows):
        found.setdefault(number, RowEnd(number, tuple(words), begun=False))
    ended = [_lost(row) for _, row in sorted(found.items())]
    stopped = is_stopped(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if launched_rank() != 0:
        sys.exit(0)
    status = sweep_status(ended, stopped)
    if trouble and not stopped and not any(row.begun for row in ended):
        raise ConfigError(f"{trouble}. No row was begun" if ended else trouble)
    for line in _summary(ended, trouble):
        print(line, file=sys.stderr if status else sys.stdout)
    raise Ended(status, "")


def _lost(row: RowEnd) -> RowEnd:
    """A row of which nobody says how it ended was killed."""
    if row.begun and row.status is None:
        return replace(row, status=1, reason="its process was killed")
    return row


def sweep_status(rows: Sequence[RowEnd], stopped: bool) -> int:
    """The exit status of a sweep; `multirun` says the rule."""
    statuses = {row.status for row in rows}
    if stopped:
        return REQUEUE_EXIT_CODE
    failed = [status for status in GRAVEST_FIRST if status in statuses] or sorted(
        status for status in statuses if status not in (None, 0, REQUEUE_EXIT_CODE)
    )
    if failed:
        return failed[0]
    return REQUEUE_EXIT_CODE if statuses - {0} else 0


def _summary(rows: Sequence[RowEnd], trouble: str) -> Iterator[str]:
    """The sweep in a line, and a line for each row that is not complete."""
    names = swept([row.overrides for row in rows])
    groups = {
        "complete": [row for row in rows if row.status == 0],
        "failed": [row for row in rows if row.status not in (0, REQUEUE_EXIT_CODE, None)],
        "stopped and saved": [row for row in rows if row.status == REQUEUE_EXIT_CODE],
        "not begun": [row for row in rows if row.status is None],
    }
    counts = ", ".join(f"{len(group)} {what}" for what, group in groups.items() if group)
    if trouble:
        yield f"error: the sweep ended early: {trouble}"
    yield f"sweep of {len(rows)} rows: {counts}"
    for what, group in groups.items():
        for row in group if what != "complete" else []:
            which = " ".join(word for word in row.overrides if word in names) or "all of the command"
            why = f" (status {row.status}): {row.reason}" if row.status is not None else ""
            yield f"  row {row.number}  {which}  {what}{why}{f'; {row.run}' if row.run and row.run not in row.reason else ''}"
    if len(groups["complete"]) < len(rows):
        yield "the same command again tries these rows again, going on from their last checkpoints; complete ones are left as they are"
