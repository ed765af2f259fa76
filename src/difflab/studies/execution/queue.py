"""What of a study waits or runs under somebody's care: the pool's or SLURM's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from difflab.studies.execution.places import Places
from difflab.studies.execution.pool_file import PoolFile
from difflab.studies.execution.submissions import EVALUATE, TRAIN, in_slurm


@dataclass(frozen=True)
class Place:
    """where     for people
    running   or does it wait?
    """

    where: str
    running: bool


@dataclass(frozen=True)
class Queue:
    """Places by a training's key.

    trainings    that wait or run
    evaluations  trainings whose evaluations wait or run, or will follow the training
    """

    trainings: Mapping[str, Place] = field(default_factory=dict)
    evaluations: Mapping[str, Place] = field(default_factory=dict)


def ask(root: Path) -> Queue:
    """Asks the pool and SLURM, as far as the study has been given to them."""
    places = Places(root.resolve())
    kinds: dict[str, dict[str, Place]] = {TRAIN: {}, EVALUATE: {}}
    for kind, key, where, running in in_slurm(places):
        kinds[kind][key] = Place(where, running)
    pool = PoolFile.read(places)
    if pool.lives(places):
        waiting = {key: Place("pool", False) for key in pool.waiting}
        here = waiting | {key: Place("pool", True) for key in pool.running}
        kinds[TRAIN] |= here
        kinds[EVALUATE] |= here
    return Queue(kinds[TRAIN], kinds[EVALUATE])
