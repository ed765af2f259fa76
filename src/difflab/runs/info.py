"""What is to be known of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difflab.reading import printable
from difflab.runs.directory import RunDirectory
from difflab.runs.saved_checkpoints import newest, step_of


def info(path: str | Path) -> dict[str, Any]:
    """Status, steps, images, metrics with protocol, and a hash of the online weights and of each EMA track."""
    run = RunDirectory(path)
    if not run.config.exists():
        raise ValueError(f"{path} is no run directory: it has no config.yaml")
    config = run.settings()
    checkpoint = newest(run.checkpoints)
    step = step_of(checkpoint) if checkpoint else 0
    return {
        "path": str(run.path),
        "status": run.status(),
        "name": config["run"]["name"],
        "seed": config["seed"],
        "step": step,
        "max_steps": config["trainer"]["max_steps"],
        "stopped_early": run.early_end(),
        "images": step * config["data"]["batch_size"],
        "checkpoint": str(checkpoint) if checkpoint else None,
        "weights_sha256": _hashes(checkpoint) if checkpoint else {},
        "metrics": run.last_scores(),
        "protocol": run.protocols(),
        "starts": run.starts(),
    }


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Track -> hash of its weights."""
    from difflab.runs.export import model_weights, read_run, weights_sha256  # torch: only where there is a checkpoint

    state = read_run(checkpoint)
    return {track: weights_sha256(weights) for track, weights in model_weights(state).items()}


def as_text(facts: dict[str, Any]) -> str:
    """`info` for a person."""
    early = [f"          {facts['stopped_early']}"] if facts["stopped_early"] else []
    lines = [
        f"run       {facts['path']}",
        f"status    {facts['status']}",
        f"variant   {facts['name']}  seed {facts['seed']}",
        f"progress  step {facts['step']} of {facts['max_steps']}, {facts['images']} images",
        *early,
        f"saved in  {facts['checkpoint'] or 'no checkpoint yet'}",
    ]
    lines += [f"weights   {track:12} {value}" for track, value in facts["weights_sha256"].items()]
    lines += [f"metric    {name} {value:.6g}" for name, value in facts["metrics"].items()]
    lines += [f"protocol  {name} {fields.get('fingerprint', 'unknown')}" for name, fields in facts["protocol"].items()]
    for start in facts["starts"]:
        commit = str((start.get("git") or {}).get("commit", "unknown"))[:10]
        end = (
            f"{start['outcome']} at step {start.get('to_step', '?')} after {start.get('seconds', 0):.0f} s"
            if "outcome" in start
            else "no end on record"
        )
        host, first = start.get("host", "?"), start.get("from_step", "?")
        lines.append(f"start     {start.get('started', '?')} on {host}, commit {commit}, from step {first}: {end}")
        lines.append(f"          {start.get('command', '?')}")
    return printable("\n".join(lines))
