"""Files in the run's directory that are torn, empty, foreign or oddly named."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
from scripts.chaos.scenario import Scenario
from scripts.chaos.training import Training


class BrokenFile(Scenario):
    """Something lies in the directory of the run when the command is started again."""

    @abstractmethod
    def break_in(self, run: Path) -> None:
        """Puts it there."""

    def disturb(self, training: Training) -> str:
        self.break_in(training.run)
        return "went on"


class TornMetrics(BrokenFile):
    """A line that a power failure has cut, and others that are none of difflab's."""

    name, what = "metrics", "metrics.jsonl ends in a torn line, and has strange ones before it"

    def break_in(self, run: Path) -> None:
        with (run / "metrics.jsonl").open("ab") as file:
            file.write(b'[1, 2]\n{"loss": 3}\n\xff\xfe\n{"step": "x"}\n{"step": 3, "train/lo')


class EmptyProvenance(BrokenFile):
    """As earlier versions could leave it after a power failure."""

    name, what = "provenance", "provenance.json and protocol.json are empty"

    def break_in(self, run: Path) -> None:
        for name in ("provenance.json", "protocol.json"):
            (run / name).write_bytes(b"")


class OddNames(BrokenFile):
    """What file managers and people leave behind."""

    name, what = "names", "copies and folders with odd names lie among the checkpoints"

    def break_in(self, run: Path) -> None:
        checkpoints = run / "checkpoints"
        newest = max(checkpoints.glob("step-*.ckpt"))
        for name in ("step-00000010 (1).ckpt", "step-x.ckpt", "step-.ckpt", "Copy of step-00000007.ckpt"):
            (checkpoints / name).write_bytes(newest.read_bytes())
        (checkpoints / "step-00009998.ckpt").mkdir()
        (checkpoints / ".writing-step-00009999.ckpt-1-00").write_bytes(b"half")


class ForeignCheckpoint(BrokenFile):
    """A whole zip archive that torch reads, and that is no checkpoint of a run."""

    name, what = "foreign", "the newest checkpoint is a whole file with other content"

    def break_in(self, run: Path) -> None:
        torch.save({"weights": torch.zeros(3)}, run / "checkpoints" / "step-00000099.ckpt")


class DamagedCheckpoint(BrokenFile):
    """A disk that has lost a part."""

    name, what = "damaged", "the newest checkpoint is cut in the middle"

    def break_in(self, run: Path) -> None:
        newest = max((run / "checkpoints").glob("step-*.ckpt"))
        content = newest.read_bytes()
        newest.unlink()  # best.ckpt may be the same file
        newest.write_bytes(content[: len(content) // 2])


class BrokenNote(BrokenFile):
    """What is left of a lock."""

    name, what = "lock", "lock.json is garbage"

    def break_in(self, run: Path) -> None:
        (run / "lock.json").write_bytes(b'{"host": 3, "pid": 1e999')
