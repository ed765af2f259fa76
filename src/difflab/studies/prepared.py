"""A training that a study needs before its rows can be drawn, as that of the classifier that guides them.

prepare:
experiment: digits_classifier
overrides: [trainer.max_steps=300]

Rows name its run by ${prepared}: draw: ["guidance.classifier.classify.checkpoint=${prepared}"].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from difflab.studies.nodes import StudyError, mapping, texts

PREPARED = "prepared"
"""Name under which its run lies, where a row's would: <run.root>/<study>/prepared."""

REFERENCE = "${prepared}"
"""The run's directory in what rows draw."""


@dataclass(frozen=True)
class Preparation:
    """What is trained before.

    Attributes:
        experiment: What it starts from.
        overrides: Of train.py, without those of the study's rows.
    """

    experiment: str
    overrides: tuple[str, ...]


def read_preparation(study: Mapping[str, Any], rows: Collection[str], where: str) -> Preparation | None:
    """A study's `prepare`; None where there is none.

    Args:
        study: The content of its file.
        rows: Names of the rows, of which none may be called as this run is.
        where: Named in errors.
    """
    if "prepare" not in study:
        if REFERENCE in str(study["rows"]):
            raise StudyError(
                f"{where}: a row draws with {REFERENCE}, and nothing is prepared: give `prepare`, as {{experiment: digits_classifier}}"
            )
        return None
    node = mapping(study["prepare"], f"{where}: prepare", ("experiment", "overrides"))
    if "experiment" not in node:
        raise StudyError(
            f"{where}: prepare lacks 'experiment': name what is trained before, as {{experiment: digits_classifier}}"
        )
    if "fork" in study:
        raise StudyError(
            f"{where}: prepare and fork are each trained before the rows, and there can be one of them; leave one out"
        )
    if PREPARED in rows:
        raise StudyError(f"{where}: row {PREPARED}: the run that is prepared is called so; give the row another name")
    return Preparation(str(node["experiment"]), texts(node.get("overrides", []), f"{where}: prepare.overrides"))
