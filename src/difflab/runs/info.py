"""What is to be known of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difflab.reading import FileError, printable, read_json
from difflab.reading.json import is_a
from difflab.runs.directory import RunDirectory
from difflab.runs.saved_checkpoints import newest, step_of
from difflab.runs.wandb.description import wandb_place


def info(path: str | Path) -> dict[str, Any]:
    """What there is to know of a run.

    That is status, steps, images, metrics with protocol, a hash of the online weights and of each EMA track, from which weights and which
    run it began, and what evaluate.py has measured.
    """
    run = RunDirectory(path)
    if not run.config.exists():
        raise ValueError(f"{path} is no run directory: it has no config.yaml")
    config = run.settings()
    checkpoint, starts = newest(run.checkpoints), run.starts()
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
        "initial_weights": next((s["initial_weights"] for s in reversed(starts) if "initial_weights" in s), None),
        "extends": [
            {"run": start.get("run", "?"), "step": start["taken_over_at"]}
            for start in starts
            if "taken_over_at" in start
        ],
        "evaluations": _evaluations(run),
        "starts": starts,
        "wandb": _wandb(run.path),
    }


def _evaluations(run: RunDirectory) -> dict[str, dict[str, float]]:
    """File -> metric -> value, of what evaluate.py has measured. What is no such file is left out."""
    found = {}
    for path in sorted(run.path.glob("evaluations/*/results.json")):
        try:
            rows = read_json(path).get("measurements", [])
        except FileError:
            continue
        rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        found[str(path)] = {str(row.get("metric")): row["value"] for row in rows if is_a(row.get("value"), float)}
    return found


def _wandb(path: Path) -> dict[str, Any] | None:
    """Where a run is in W&B."""
    place = wandb_place(path)
    return place and {"address": place.address, "url": place.url, "sync": place.sync_command}


def _hashes(checkpoint: Path) -> dict[str, str]:
    """Track -> hash of its weights."""
    from difflab.networks import weights_sha256  # torch: only where there is a checkpoint
    from difflab.runs.export import model_weights, read_run

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
    lines += [f"extends   {one['run']} from step {one['step']}" for one in facts["extends"]]
    if initial := facts["initial_weights"]:
        lines.append(f"init from {initial.get('told', '?')}")
    lines += [f"weights   {track:12} {value}" for track, value in facts["weights_sha256"].items()]
    lines += [f"metric    {name} {value:.6g}" for name, value in facts["metrics"].items()]
    lines += [f"protocol  {name} {fields.get('fingerprint', 'unknown')}" for name, fields in facts["protocol"].items()]
    for path, values in facts["evaluations"].items():
        lines += [f"evaluated {name} {value:.6g}  {path}" for name, value in values.items()]
    if place := facts["wandb"]:
        lines.append(f"W&B       {place['address']}{'' if place['url'] else ' (offline)'}")
        lines += [f"to upload {place['sync']}"] if place["sync"] else []
    for start in facts["starts"]:
        commit = str((start.get("git") or {}).get("commit", "unknown"))[:10]
        end = (
            f"{start['outcome']} at step {start.get('to_step', '?')} after {start.get('seconds', 0):.0f} s"
            if "outcome" in start
            else "no end on record"
        )
        host, first = start.get("host", "?"), start.get("from_step", "?")
        of = f", of {start['run']}" if "run" in start else ""
        lines.append(f"start     {start.get('started', '?')} on {host}, commit {commit}, from step {first}: {end}{of}")
        lines.append(f"          {start.get('command', '?')}")
    return printable("\n".join(lines))
