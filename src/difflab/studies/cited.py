"""Published results that stand in a study's table beside its rows, and are not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from difflab.studies.nodes import StudyError, check_name, mapping

if TYPE_CHECKING:
    from difflab.metrics.published import Target

_KEYS = ("cited", "label", "published")


@dataclass(frozen=True)
class CitedRow:
    """A published result that stands in the table beside the study's rows.

    It has no experiment and no runs: it is trained, drawn, paid for and tested by nobody here, and no row is compared with it.

    Attributes:
        name: Key of the row.
        label: What the table calls it.
        published: Metric -> the number that a source gives.
        place: Position in the table, from 0.
    """

    name: str
    label: str
    published: Mapping[str, Target]
    place: int

    @property
    def sentence(self) -> str:
        """All of it in one line: each metric's number, and each source once."""
        numbers = ", ".join(f"{metric} {target.value:g}" for metric, target in self.published.items())
        sources = dict.fromkeys(target.source for target in self.published.values())
        return f"{self.label}: {numbers} ({'; '.join(sources)})"


def is_cited(node: Any, where: str) -> bool:
    """Whether a row of the file says so of itself."""
    cited = node.get("cited", False) if isinstance(node, Mapping) else False
    if not isinstance(cited, bool):
        raise StudyError(f"{where}: cited = {cited!r}: expected true for a published result that nothing runs for")
    return cited


def read_cited(name: str, node: Mapping[str, Any], place: int, metrics: Sequence[str], where: str) -> CitedRow:
    """The row; a StudyError if it asks for a run, or has a number that no column would show.

    Args:
        name: Key of the row.
        node: What the file says of it.
        place: Position in the table, from 0.
        metrics: Those that the study reports.
        where: Named in errors.
    """
    for key in node:
        if key not in _KEYS:
            raise StudyError(
                f"{where} is cited, and nothing runs for it: it has a label and what was published, and no {key!r}"
            )
    check_name(name, where)
    targets = published_targets(node, where)
    if not targets:
        raise StudyError(
            f"{where} is cited: give `published`, as {{{metrics[0]}: {{value: ..., source: ..., confidence: paper}}}}"
        )
    for key, target in targets.items():
        if key not in metrics or target.metric != key:
            raise StudyError(
                f"{where}.published.{key} would not be shown: name metrics that the study reports, {', '.join(metrics)}"
            )
    return CitedRow(name, str(node.get("label", name)), targets, place)


def published_targets(node: Mapping[str, Any], where: str) -> dict[str, Target]:
    """Metric -> published number."""
    published = mapping(node.get("published", {}), f"{where}.published", None)
    from difflab.metrics.published import Target  # with all metrics, which not everybody needs who needs a study

    try:
        return {str(key): Target.read(str(key), value) for key, value in published.items()}
    except ValueError as error:
        raise StudyError(f"{where}.published: {error}") from error
