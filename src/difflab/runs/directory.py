"""The directory of a run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difflab.files import clear_remains, move, write_json, write_text
from difflab.former_names import present
from difflab.reading import FileError, read_json, read_yaml
from difflab.reading.json import fields, in_words, is_a
from difflab.runs.lock import RunLock
from difflab.runs.metrics_file import lines_from_end, row_of

_log = logging.getLogger(__name__)

_KINDS: dict[str, Any] = {
    **dict.fromkeys(("started", "ended", "host", "command", "outcome", "configuration", "directory", "run"), str),
    **dict.fromkeys(("seconds", "from_step", "to_step", "taken_over_at", "images"), float),
    **dict.fromkeys(("environment", "foreign_packages", "packages", "data", "initial_weights"), dict),
    **dict.fromkeys(("gpus", "empty_classes"), list),
    "git": (dict, type(None)),
}
"""Field of a start -> kind of its value, as far as something reads it."""

STRIP = "trajectory"
"""Beginning of a file's name, in place of a track."""

_BEGAN = "1970-01-01T00:00:00+00:00"
"""Of a start that does not say when."""


EARLY_END = "stopped_early"
"""Entry of complete.json."""


class RunDirectory:
    """<run.root>/<experiment>/seed<seed>-<identity>/.

    config.yaml        the resolved configuration
    provenance.json    of every start: code, versions, hardware, command, and how it ended
    protocol.json      of each metric the fields that define it, and their fingerprint
    metrics.jsonl      everything that was logged, a line for each logged step
    samples/           grids of samples, <track>_<step>.png; trajectory_<step>.png, how the first ones emerge from noise
    checkpoints/       step-<step>.ckpt, best.ckpt
    weights/           <track>.safetensors of the finished run
    snapshots/         averages for post-hoc EMA
    diverged/          what is known of a divergence
    complete.json      there once training has reached its end
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.provenance = self.path / "provenance.json"
        self.protocol = self.path / "protocol.json"
        self.metrics = self.path / "metrics.jsonl"
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"
        self.weights = self.path / "weights"
        self.snapshots = self.path / "snapshots"
        self.diverged = self.path / "diverged"
        self.complete = self.path / "complete.json"

    def begin(self, config: str, start: dict[str, Any], protocol: dict[str, Any]) -> None:
        """Writes what is known at a start: the resolved configuration (yaml), what `provenance` says, what the metrics mean.

        What a killed start was writing goes.
        """
        for folder in (self.path, self.samples, self.checkpoints, self.weights, self.snapshots, self.diverged):
            clear_remains(folder)
        write_text(self.config, config)
        write_json(self.protocol, in_words(protocol))
        write_json(self.provenance, [*self._kept(), start])

    def end(self, outcome: str, step: int, images: int) -> None:
        """Writes how the last start ended: complete, interrupted, diverged, went back or failed."""
        *earlier, last = self.starts()
        ended = datetime.now(UTC)
        seconds = (ended - datetime.fromisoformat(last["started"])).total_seconds()
        last |= {
            "ended": ended.isoformat(timespec="seconds"),
            "outcome": outcome,
            "to_step": step,
            "images": images,
            "seconds": seconds,
        }
        write_json(self.provenance, [*earlier, last])

    def finish(self, summary: dict[str, Any], early: str = "") -> None:
        """Marks the run as complete.

        Args:
            summary: Its last step and scores.
            early: Why it has ended before the step that was asked for; empty where it has not.
        """
        write_json(self.complete, summary | ({EARLY_END: early} if early else {}))

    def early_end(self) -> str:
        """Why the complete run has ended before the step that was asked for; empty where it has not."""
        try:
            return str(read_json(self.complete).get(EARLY_END, ""))
        except FileError:
            return ""

    def settings(self) -> dict[str, Any]:
        """What config.yaml says, with at least the name, the seed, the number of steps and the batch size.

        Raises:
            FileError: It says something else.
        """
        config = fields(
            present(read_yaml(self.config)), self.config, {"seed": int, "run": dict, "trainer": dict, "data": dict}
        )
        for node, kinds in (("run", {"name": str}), ("trainer", {"max_steps": int}), ("data", {"batch_size": int})):
            fields(config[node], f"{self.config}: {node}", kinds)
        return config

    def starts(self) -> list[dict[str, Any]]:
        """What provenance.json says of each start, the first one first.

        What it does not say as `provenance` does is left out; a file that cannot be read is a warning.
        """
        if not self.provenance.exists():
            return []
        try:
            content = read_json(self.provenance, list)
        except FileError as error:
            _log.warning("%s What it said of earlier starts is not known.", error)
            return []
        found = [start for start in content if isinstance(start, dict) and _is_time(start.get("started", _BEGAN))]
        return [{key: value for key, value in start.items() if is_a(value, _KINDS.get(key, object))} for start in found]

    def protocols(self) -> dict[str, dict[str, Any]]:
        """What protocol.json says of each score; a file that cannot be read is a warning."""
        try:
            content = read_json(self.protocol) if self.protocol.exists() else {}
        except FileError as error:
            _log.warning("%s What the scores mean is not known.", error)
            return {}
        return {name: fields for name, fields in content.items() if isinstance(fields, dict)}

    def status(self) -> str:
        """complete, running, how the last start ended, or killed if nobody wrote it down."""
        if self.complete.exists():
            return "complete"
        if RunLock(self.path).is_held():
            return "running"
        starts = self.starts()
        if not starts or "run" in starts[-1]:  # it was killed when it had taken over what another run had trained
            return "killed" if starts else "empty"
        return starts[-1].get("outcome", "killed")

    def last_scores(self) -> dict[str, float]:
        """The metrics of the last evaluation; reads the end of metrics.jsonl up to there."""
        step, scores = None, {}
        for _, _, line in lines_from_end(self.metrics) if self.metrics.exists() else ():
            if scores or b'"eval/' in line:  # others need not be parsed
                row = row_of(line)
                if row is not None and scores and row["step"] != step:
                    break
                found = {name: value for name, value in (row or {}).items() if name.startswith("eval/")}
                if row is not None and found:
                    step, scores = row["step"], found | scores
        return scores

    def pictures(self, step: int) -> dict[str, Path]:
        """EMA track -> the picture of its samples at a step; trajectory -> the strip."""
        return {path.stem.rpartition("_")[0]: path for path in sorted(self.samples.glob(f"*_{step:08d}.png"))}

    def grids(self) -> list[Path]:
        """All pictures of samples, apart from strips."""
        return sorted(set(self.samples.glob("*.png")) - set(self.strips()))

    def strips(self) -> list[Path]:
        """Pictures of the way from noise to the first samples, the newest one last."""
        return sorted(self.samples.glob(f"{STRIP}_*.png"))

    def last_grid(self) -> Path | None:
        """The newest picture of samples."""
        grids = sorted(self.grids(), key=lambda path: (path.stem.rsplit("_", 1)[-1], path.name))
        return grids[-1] if grids else None

    def _kept(self) -> list[dict[str, Any]]:
        """The earlier starts; a provenance.json that does not tell them is put aside."""
        starts = self.starts()
        if not starts and self.provenance.exists():
            aside = self.provenance.with_suffix(".unreadable")
            _log.warning("%s is now %s", self.provenance, aside.name)
            move(self.provenance, aside)
        return starts


def strip_file(samples: Path, step: int) -> Path:
    """Where the strip of a step goes in the folder of samples."""
    return samples / f"{STRIP}_{step:08d}.png"


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
