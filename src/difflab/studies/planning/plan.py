"""What a study has to run and what it costs: trainings, and the sample sets that each of them serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difflab.formatting import prefixed
from difflab.pages import Overlay
from difflab.runs.listing import attempt_directory
from difflab.studies.spec import Study

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Facts:
    """What a row costs, derived from its resolved configuration.

    Attributes:
        parameters: How many are trained.
        training_flops: FLOPs of an image, forward and backward; a multiplication and an addition are two.
        forward_flops: FLOPs of an image, one call of the network.
        sampling_calls: Calls of the network for one image, guidance included.
        batch: Images of an optimizer step, over all processes.
        steps: Optimizer steps.
        ema_half_life_images: EMA track -> images after which a weight counts half, at the end of training.
    """

    parameters: int
    training_flops: float
    forward_flops: float
    sampling_calls: int
    batch: int
    steps: int
    ema_half_life_images: dict[str, float]

    @property
    def images(self) -> int:
        """Images seen in training."""
        return self.batch * self.steps

    @property
    def total_flops(self) -> float:
        """FLOPs of the training."""
        return self.images * self.training_flops

    @property
    def sampling_flops(self) -> float:
        """FLOPs of a sampled image."""
        return self.sampling_calls * self.forward_flops

    def hours(self, flops_per_second: float | None, drawn: int = 0) -> float | None:
        """Hours of training and of sampling images on one processor; None without a rate.

        Args:
            flops_per_second: The rate as reached, not as advertised: that of a finished run is `rate(images_per_second)`.
            drawn: How many images are sampled.

        Raises:
            ValueError: The rate is not above 0.
        """
        if flops_per_second is None:
            return None
        if flops_per_second <= 0:
            raise ValueError(f"flops_per_second = {flops_per_second}: expected a rate above 0")
        return (self.total_flops + drawn * self.sampling_flops) / flops_per_second / SECONDS_PER_HOUR

    def rate(self, images_per_second: float) -> float:
        """FLOPs per second of a training that sees so many images per second."""
        return images_per_second * self.training_flops


@dataclass(frozen=True)
class Training:
    """A run of train.py. Rows that differ in how they draw alone share it.

    Attributes:
        number: Position among the plan's trainings; of a job array, too.
        name: Run.name: <study>/<row> of the first row that needs it.
        identity: Of the run (difflab.runs.identity).
        parent: The folder of its attempts: <run.root>/<run.name>.
        overrides: The whole command line of train.py, as ("+experiment=...", "seed=1", ...).
        steps: Optimizer steps to its end.
        after: Identity of the training that comes before it, as that from whose end it goes on; empty for none.
    """

    number: int
    name: str
    seed: int
    identity: str
    parent: Path
    overrides: tuple[str, ...]
    steps: int
    after: str = ""

    @property
    def directory(self) -> Path:
        """Of the run, or of its newest later attempt."""
        return attempt_directory(self.parent, self.identity, self.seed, restart=False)


def of_family(study: Study, own: Path, identity: str, seed: int) -> Path:
    """The folder of a training's run: another study's of the family that has completed it, else the study's own.

    Only what is complete is taken over: a run that goes on belongs to the study that has begun it.

    Args:
        study: That needs the training.
        own: Where it would be.
        identity: Of the run.
        seed: Of the run.
    """
    if not study.family or _is_complete(own, identity, seed):
        return own
    family = own.parents[1]  # <run.root>/<family>, of <run.root>/<family>/<study>/<row>
    rows = sorted(path for path in family.glob("*/*") if path.is_dir() and not path.name.startswith("_"))
    return next((row for row in rows if _is_complete(row, identity, seed)), own)


def _is_complete(parent: Path, identity: str, seed: int) -> bool:
    return (attempt_directory(parent, identity, seed, restart=False) / "complete.json").exists()


@dataclass(frozen=True)
class Cell:
    """One row at one seed.

    Attributes:
        training: Number of the training that it draws from.
        overrides: Of evaluate.py, all but checkpoint= and out=, which follow from the training's directory.
        folder: Of its results within the run: evaluations/<hash of the overrides>.
    """

    row: str
    seed: int
    training: int
    overrides: tuple[str, ...]
    folder: str


@dataclass(frozen=True)
class RowPlan:
    """A row, resolved.

    Attributes:
        config: The resolved configuration of its training, plain, at the study's first seed.
        facts: What it costs.
        overrides: That `match` has added, as network.width=56.
        follows: Keys in which it differs from the row `against` since the configuration derives them from declared changes.
        explains: Fields of a number's protocol, or beginnings of them, in which it may differ from that row: those that declared
            changes, and what follows from them, determine.
        samples: That an evaluation draws.
    """

    config: Mapping[str, Any]
    facts: Facts
    overrides: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    samples: int = 0

    @property
    def evaluation_flops(self) -> float:
        """Of drawing an evaluation's images; embedding them and measuring likelihoods is not counted."""
        return self.samples * self.facts.sampling_flops


@dataclass(frozen=True)
class Plan:
    """What a study has to run.

    Attributes:
        root: <run.root>/<study>: everything that belongs to the study.
        lacking: Why the identities are not those that the runs will have: data or an extractor are not at hand; None if they are.
        unmeasured: Why evaluations will not give what the study reports, as weights that are not at hand; None if they will.
        trunks: Trainings of which nothing is evaluated, that come before those of the rows: a fork's, or what is prepared.
        noise: Noise and weights of the rows over each other, for the report; None where they do not differ in them.
    """

    study: Study
    root: Path
    rows: Mapping[str, RowPlan]
    trainings: tuple[Training, ...]
    cells: tuple[Cell, ...]
    lacking: str | None = None
    unmeasured: str | None = None
    trunks: tuple[Training, ...] = ()
    noise: Overlay | None = None

    @property
    def cited(self) -> tuple[str, ...]:
        """What stands in the table and is not run, a line each."""
        return tuple(row.sentence for row in self.study.cited.values())

    def training(self, cell: Cell) -> Training:
        return self.trainings[cell.training]

    def batch(self, row: str) -> int:
        """Images of an optimizer step."""
        return self.rows[row].facts.batch

    def results(self, cell: Cell) -> Path:
        """The results.json that evaluate.py writes for the cell."""
        return self.training(cell).directory / cell.folder / "results.json"

    def evaluation_command(self, cell: Cell) -> tuple[str, ...]:
        """The whole command line of evaluate.py."""
        directory = self.training(cell).directory
        return (*cell.overrides, f"checkpoint={directory}", f"out={directory / cell.folder}")


def cost_sentence(plan: Plan) -> str:
    """6 trainings of 700,000 steps of 256 images: 505 EFLOP. 6 sets of 50,000 samples by 250 calls of the network: 2.35 EFLOP.

    FLOP are those of training, forward and backward, and those of drawing the samples that are measured.
    """
    trained = [plan.rows[t.name.rpartition("/")[2]].facts for t in plan.trainings]
    drawn = [plan.rows[cell.row] for cell in plan.cells]
    steps, batches = _range(one.steps for one in trained), _range(one.batch for one in trained)
    samples, calls = _range(row.samples for row in drawn), _range(row.facts.sampling_calls for row in drawn)
    training, drawing = sum(one.total_flops for one in trained), sum(row.evaluation_flops for row in drawn)
    return (
        f"{len(trained)} trainings of {steps} steps of {batches} images: {prefixed(training)}FLOP. "
        f"{len(drawn)} sets of {samples} samples by {calls} calls of the network: {prefixed(drawing)}FLOP."
    )


def _range(numbers: Iterable[int]) -> str:
    """10, 10 or 20, 10 to 1,000."""
    found = sorted(set(numbers))
    return f"{found[0]:,} to {found[-1]:,}" if len(found) > 2 else " or ".join(f"{one:,}" for one in found)
