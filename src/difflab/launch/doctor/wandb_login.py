"""Weights & Biases: where the run's mirror will go, and whether that will work. The server is asked for a connection, no more."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from requests.utils import get_netrc_auth

from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.finding import Finding, failed, ok, warning
from difflab.launch.group import Group

KEY_LENGTH = 40
CONNECT_WITHIN = 3.0


class WandbLogin(Check):
    """mode   logger.wandb.mode: auto, online, offline or disabled; None if the run has no such logger"""

    name = "W&B"
    remedy = "logger.wandb.mode=offline, and later wandb sync, or logger=none"

    def __init__(self, mode: str | None):
        self.mode = mode

    def measure(self, group: Group) -> dict[str, Any]:
        if self.mode is None:
            raise NotApplicableError("the run does not use it")
        if group.rank:
            return {"rank": group.rank}  # only process 0 talks to W&B
        server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
        login = get_netrc_auth(server)
        key = os.environ.get("WANDB_API_KEY") or (login[1] if login else "")
        mode = self.mode
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if key else "offline")
        connection = connection_to(server) if mode == "online" and key else ""
        return {"mode": mode, "server": server, "key_length": len(key), "connection": connection}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        mode, server, key_length = facts["mode"], facts["server"], facts["key_length"]
        if mode not in ("online", "offline", "disabled"):
            return failed(f"mode {mode!r}", "logger.wandb.mode (or $WANDB_MODE) is auto, online, offline or disabled")
        if mode == "disabled":
            return ok("disabled")
        if mode == "offline":
            why = "as asked" if self.mode == "offline" or key_length else "not logged in"
            return ok(f"offline ({why}): `wandb sync <run>/wandb/offline-run-*` sends runs later")
        if not key_length:
            return failed(
                f"not logged in to {server}", "wandb login, or export WANDB_API_KEY=..., or logger.wandb.mode=offline"
            )
        if facts["connection"]:
            return failed(
                f"{server} cannot be reached from {measured[0].host} ({facts['connection']})",
                "compute nodes often have no way out: logger.wandb.mode=offline, and wandb sync from the login node",
            )
        if key_length < KEY_LENGTH:
            return warning(f"the key has {key_length} characters, not {KEY_LENGTH}", "wandb login --relogin")
        return ok(f"online, {server} answers and there is a key")


def connection_to(server: str) -> str:
    """ "" if the server takes a connection within a few seconds, else what went wrong. A proxy is asked in its place."""
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
