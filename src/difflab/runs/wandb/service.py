"""W&B's own process, and whether W&B will take what is sent."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import wandb
from requests.utils import get_netrc_auth
from wandb.sdk import wandb_setup

from difflab.runs.loggers import what

CONNECT_WITHIN = 3.0
"""Seconds."""


_log = logging.getLogger(__name__)

_STARTED_ELSEWHERE = "WANDB_SERVICE"
"""Variable of the environment that names a wandb-core."""


class WandbService:
    """A wandb-core that lives as long as a run of difflab, and leaves the Python process as it was.

    That is its environment, `sys.exit`, and the settings that W&B keeps. One that somebody else has started (a notebook with a run of its
    own, a program around this one) is used and left alone.

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
        """Ends it at once: W&B waits for one that hangs without end, also at the end of Python, where it says of one that is gone how.

        That is a traceback, of which this relieves the user.
        """
        connection: Any = getattr(wandb_setup._singleton, "_connection", None) if self.ours else None
        started: Any = getattr(connection, "_proc", None)
        if started is not None:
            started._process.kill()
            connection._cleanup()  # at the end of Python nothing is asked of it any more


class WandbError(RuntimeError):
    """Nothing can be sent to W&B; the message says what to do."""


def server() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def logged_in() -> bool:
    """Whether `wandb login` or $WANDB_API_KEY has given a key, without asking a server."""
    return bool(
        os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or get_netrc_auth(server())
    )


def chosen_mode(mode: str) -> str:
    """How a run is mirrored: online, offline or disabled.

    Args:
        mode: One of them; auto is $WANDB_MODE, else online for a user who is logged in and offline for others.

    Raises:
        WandbError: There is no such mode, or nobody is logged in for online.
    """
    name, chosen = f"logger.wandb.mode={mode}", mode
    if mode == "auto" and (given := os.environ.get("WANDB_MODE")):
        name, chosen = (
            f"WANDB_MODE={given}",
            {"dryrun": "offline", "run": "online"}.get(given, given),
        )  # their first names
    elif mode == "auto":
        chosen = "online" if logged_in() else "offline"
    if chosen not in ("online", "offline", "disabled"):
        raise WandbError(f"{name}: expected auto, online, offline or disabled")
    if chosen == "online" and not logged_in():
        raise WandbError(
            f"{name}, and not logged in to {server()}: `wandb login`, or export WANDB_API_KEY=..., or logger.wandb.mode=offline"
        )
    return chosen


def check_login() -> None:
    """A WandbError if there is no key, or if the server takes no connection."""
    if not logged_in():
        raise WandbError(
            f"not logged in to {server()}: `wandb login`, or export WANDB_API_KEY=..., and the same command again"
        )
    if problem := connection_to(server()):
        raise WandbError(
            f"{server()} cannot be reached from here ({problem}): run this on a machine with a way out, such as the login node"
        )


def connection_to(server: str) -> str:
    """What is wrong with the way to a server; "" if it takes a connection within a few seconds. A proxy is asked in its place."""
    parts = urlsplit(server)
    proxy = os.environ.get(f"{parts.scheme}_proxy") or os.environ.get(f"{parts.scheme.upper()}_PROXY")
    if proxy:
        parts = urlsplit(proxy)
    try:
        socket.create_connection(
            (parts.hostname, parts.port or {"http": 80}.get(parts.scheme, 443)), CONNECT_WITHIN
        ).close()
    except (OSError, TypeError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""
