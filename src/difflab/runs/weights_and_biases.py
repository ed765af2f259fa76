"""The mirror of a run in Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path

from pytorch_lightning.loggers import WandbLogger


def weights_and_biases(
    project: str, entity: str | None, mode: str, identity: str, group: str, name: str, directory: str | Path
) -> WandbLogger:
    """Lightning's W&B logger, continuing the run of the same identity.

    mode   online, offline or disabled; auto is $WANDB_MODE, else online for a user who is logged in and offline for others
    """
    import wandb

    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.api.api_key else "offline")
    if mode not in ("online", "offline", "disabled"):
        raise ValueError(f"logger.wandb.mode={mode}: expected auto, online, offline or disabled")
    Path(directory).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project=project,
        entity=entity,
        id=identity,
        group=group,
        name=name,
        save_dir=str(directory),
        resume="allow",
        offline=mode == "offline",
        mode=mode,
        settings=wandb.Settings(silent=True),
    )
