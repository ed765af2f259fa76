"""W&B's own process, wandb-core, which one Python process shares among its W&B runs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import wandb
from wandb.sdk import wandb_setup

from difflab.runs.guarded import what

_log = logging.getLogger(__name__)

_STARTED_ELSEWHERE = "WANDB_SERVICE"
"""Variable of the environment that names a wandb-core."""


class WandbService:
    """A wandb-core that lives as long as a run of difflab, and leaves the Python process as it was: its environment, `sys.exit`, and the
    settings that W&B keeps. One that somebody else has started (a notebook with a run of its own, a program around this one) is used and
    left alone.

    Attributes:
        ours: Whether it was started here.
    """

    def __init__(self) -> None:
        self.ours = False
        self._hooked = sys.exit, sys.excepthook

    def start(self) -> None:
        """Starts it, unless there is one; W&B is silent unless $WANDB_SILENT says otherwise."""
        self.ours = _STARTED_ELSEWHERE not in os.environ
        self._hooked = sys.exit, sys.excepthook
        if self.ours:
            wandb.setup(wandb.Settings(silent=os.environ.get("WANDB_SILENT", "true").lower() in ("true", "1", "yes")))

    def begin(self, settings: Mapping[str, Any], mode: str) -> tuple[Any, bool]:
        """Begins a W&B run of its own, whatever others this process has.

        Args:
            settings: Arguments of `wandb.init`, with `dir`.
            mode: online or offline.

        Returns:
            The W&B run, and whether it is online: one that the server does not take is recorded offline, with a warning.
        """
        try:
            return wandb.init(**settings, mode=mode, reinit="create_new"), mode == "online"  # type: ignore[arg-type]
        except Exception as error:
            if mode == "offline":
                raise
            _log.warning(
                "W&B does not take this run online (%s): this start is recorded in %s, from where `wandb sync` sends it",
                what(error),
                os.path.join(settings["dir"], "wandb"),
            )
        self.kill()  # it keeps the run's name for the one that failed
        self.end()
        self.start()
        return wandb.init(**settings, mode="offline", reinit="create_new"), False  # type: ignore[arg-type]

    def end(self) -> None:
        """Ends it, when its runs have ended."""
        if self.ours:
            with contextlib.suppress(Exception, SystemExit):  # what it was sent is on the disk, or was said to be lost
                wandb.teardown()
            sys.exit, sys.excepthook = self._hooked

    def kill(self) -> None:
        """Ends it at once: W&B waits for one that hangs without end, also at the end of Python."""
        connection: Any = getattr(wandb_setup._singleton, "_connection", None) if self.ours else None
        started: Any = getattr(connection, "_proc", None)
        if started is not None:
            started._process.kill()
