"""What is to be known of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from difflab.runs.directory import RunDirectory
from difflab.runs.saved_checkpoints import newest, step_of


def info(path: str | Path) -> dict[str, Any]:
    """Status, steps, images, metrics with protocol, and a hash of the online weights and of each EMA track."""
    run = RunDirectory(path)
    if not run.config.exists():
        raise ValueError(f"{path} is no run directory: it has no config.yaml")
    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    checkpoint = newest(run.checkpoints)
    step = step_of(checkpoint) if checkpoint else 0
    return {
        "path": str(run.path),
        "status": run.status(),
        "name": config["run"]["name"],
        "seed": config["seed"],
        "step": step,
        "max_steps": config["trainer"]["max_steps"],
        "images": step * config["data"]["batch_size"],
        "checkpoint": str(checkpoint) if checkpoint else None,
        "weights_sha256": _hashes(checkpoint) if checkpoint else {},
        "metrics": run.last_scores(),
        "protocol": json.loads(run.protocol.read_text(encoding="utf-8")) if run.protocol.exists() else {},
        "starts": run.starts(),
    }


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Track -> hash of its weights."""
    import torch  # a run without a checkpoint is told of at once

    from difflab.runs.export import model_weights, weights_sha256

    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {track: weights_sha256(weights) for track, weights in model_weights(state).items()}


def as_text(facts: dict[str, Any]) -> str:
    """`info` for a person."""
    lines = [
        f"run       {facts['path']}",
        f"status    {facts['status']}",
        f"variant   {facts['name']}  seed {facts['seed']}",
        f"progress  step {facts['step']} of {facts['max_steps']}, {facts['images']} images",
        f"saved in  {facts['checkpoint'] or 'no checkpoint yet'}",
    ]
    lines += [f"weights   {track:12} {value}" for track, value in facts["weights_sha256"].items()]
    lines += [f"metric    {name} {value:.6g}" for name, value in facts["metrics"].items()]
    lines += [f"protocol  {name} {fields['fingerprint']}" for name, fields in facts["protocol"].items()]
    for start in facts["starts"]:
        commit = (start.get("git") or {}).get("commit", "unknown")[:10]
        end = (
            f"{start['outcome']} at step {start['to_step']} after {start['seconds']:.0f} s"
            if "outcome" in start
            else "no end on record"
        )
        lines.append(
            f"start     {start['started']} on {start['host']}, commit {commit}, from step {start['from_step']}: {end}"
        )
        lines.append(f"          {start['command']}")
    return "\n".join(lines)
