"""Whether a study's numbers were measured alike: between the seeds of a row, and between a row and the one that it is compared with.

Two seeds of a row may differ in the sampling seeds. A row and its `against` draw from the same sampling seeds and may differ in what the
row declares: a change of `sampler.eta`, or of `draw.eta`, explains a difference of the protocol's field sampler.eta. All else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from difflab.metrics import ProtocolMismatch, check_comparable
from difflab.studies.evidence import Arm
from difflab.studies.study import Study, StudyError

OF_DRAWING = {
    "steps": "sampler.grid.steps",
    "eta": "sampler.eta",
    "track": "track",
    "ema": "track",
    "precision": "precision",
    "quantization": "quantization",
    "classes": "classes",
    "stage": "stages",
}
"""Values of evaluate.py that a row may change -> the protocol's field."""

OF_TRAINING = {"ema": "track", "data.num_classes": "classes"}
"""Groups or keys of the configuration -> the protocol's field, where that is called otherwise."""

SHARED = ("sampler", "guidance")
"""Groups of the configuration whose keys are the protocol's fields."""

STAGED = ["stages", "sampler", "guidance", "guidance_order", "track", "classes", "precision", "quantization"]
"""Fields that a cascade has for each stage, and a model by itself once."""


def check_measured_alike(study: Study, arms: Mapping[str, Arm]) -> None:
    """A StudyError that names row, seed, field and both values at the first difference that no declared change explains."""
    for arm in arms.values():
        for metric in study.evaluation.metrics:
            _check_seeds(arm, metric)
            if arm.row.name != study.baseline:
                _check_rows(arm, arms[arm.row.against], metric)


def explained(arm: Arm) -> tuple[str, ...]:
    """The protocol's fields, or beginnings of fields, in which the row may differ from the one it is compared with."""
    return tuple(dict.fromkeys(field for key in (*arm.row.change, *arm.follows) for field in _fields(key)))


def _fields(key: str) -> list[str]:
    drawing, inner = key.startswith("draw."), key.removeprefix("draw.")
    head = inner.split(".")[0]
    if head == "guidance":
        # a guidance that comes or goes differs as a whole, though one key of it was changed; a classifier brings classes along
        return [".".join(inner.split(".")[:2]), "guidance_order", "classes"]
    if key == "draw.scale":  # at 1 no guidance is left at all
        return ["guidance", "guidance_order"]
    if head in SHARED:
        return [inner]
    if head == "stages":
        return STAGED
    known = OF_DRAWING if drawing else OF_TRAINING
    return [known[name] for name in (inner, head) if name in known][:1]


def _check_seeds(arm: Arm, metric: str) -> None:
    replicates = list(arm.replicates.values())
    for other in replicates[1:]:
        first = replicates[0]
        try:
            check_comparable(first.measurements[metric].protocol, other.measurements[metric].protocol, ["seeds"])
        except ProtocolMismatch as error:
            field, mine, theirs = error.differences[0]
            raise StudyError(
                f"row {arm.row.name}, seed {other.seed}: {metric} was measured with {field} = {theirs}, and at seed {first.seed} with "
                f"{field} = {mine}: seeds of a row may differ in their sampling seeds alone. Remove {other.run}'s evaluation, or that of "
                f"{first.run}, and launch again"
            ) from error


def _check_rows(arm: Arm, against: Arm, metric: str) -> None:
    common = [seed for seed in arm.replicates if seed in against.replicates]
    pairs = [(seed, seed) for seed in common]
    waived = list(explained(arm))
    if not common and arm.replicates and against.replicates:
        pairs, waived = [(next(iter(arm.replicates)), next(iter(against.replicates)))], [*waived, "seeds"]
    for mine, theirs in pairs:
        try:
            check_comparable(
                arm.replicates[mine].measurements[metric].protocol,
                against.replicates[theirs].measurements[metric].protocol,
                waived,
            )
        except ProtocolMismatch as error:
            field, ours, other = error.differences[0]
            raise StudyError(
                f"row {arm.row.name}, seed {mine}: {metric} was measured with {field} = {ours}, and that of row {against.row.name} with "
                f"{field} = {other}, which nothing explains that the row changes ({', '.join(arm.row.change)}). Evaluate both alike, or "
                f"name the change in the row's `change`"
            ) from error
