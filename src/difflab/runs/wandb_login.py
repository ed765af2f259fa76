"""Whether Weights & Biases will take what we send, asked before any work is done."""

from __future__ import annotations

import os

from requests.utils import get_netrc_auth

from difflab.launch.doctor.wandb_login import connection_to


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
