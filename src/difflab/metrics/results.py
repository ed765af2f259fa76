"""Measured numbers with their uncertainty and protocol, as they are kept in results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from difflab.metrics.direction import limits
from difflab.metrics.protocol import Protocol


@dataclass(frozen=True)
class Measurement:
    """A number.

    metric      fid, is, precision_digits ...
    samples     N; 0 where the number has none
    std_error   of sampling: over other samples of the same size from the same model; None where it was not estimated
    replicates  from which std_error was estimated
    protocol    what defines the number
    """

    metric: str
    value: float
    samples: int
    protocol: Protocol
    std_error: float | None = None
    replicates: int = 0

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """value -/+ t std_error, Student's quantile with replicates - 1 degrees of freedom; cut where no value of the metric can lie."""
        if self.std_error is None or self.replicates < 2:
            return None
        reach = float(student.ppf(0.5 + confidence / 2, self.replicates - 1)) * self.std_error
        low, high = limits(self.metric)
        return max(low, self.value - reach), min(high, self.value + reach)


@dataclass(frozen=True)
class Results:
    """All numbers of one set of samples.

    subject   what was measured and is no part of the protocol: run, step, seed, weights' hash, files
    """

    measurements: list[Measurement]
    subject: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Measurement:
        """The only one of this name. A KeyError if there is none, or if it was measured under several protocols."""
        found = [measurement for measurement in self.measurements if measurement.metric == metric]
        if len(found) > 1:
            raise KeyError(f"{metric} was measured under {len(found)} protocols: choose among `measurements`")
        if not found:
            raise KeyError(f"no {metric} among {', '.join(m.metric for m in self.measurements) or 'no results'}")
        return found[0]

    def to_json(self) -> str:
        rows = [
            {
                **asdict(m) | {"protocol": dict(m.protocol.fields)},
                "interval_95": m.interval(),
                "fingerprint": m.protocol.fingerprint,
            }
            for m in self.measurements
        ]
        return json.dumps({"subject": self.subject, "measurements": rows}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: str | Path = "results") -> Results:
        """ValueError if the text is no results file, or if a protocol was changed by hand."""
        try:
            content = json.loads(text)
            return cls([_measurement(row, where) for row in content["measurements"]], content["subject"])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{where} is no file of results, as evaluate.py writes them ({error!r})") from error


def _measurement(row: Mapping[str, Any], where: str | Path) -> Measurement:
    protocol = Protocol(row["protocol"])
    if protocol.fingerprint != row["fingerprint"]:
        raise ValueError(
            f"{where}: the protocol of {row['metric']} does not have the fingerprint {row['fingerprint']}: it was changed by hand"
        )
    return Measurement(row["metric"], row["value"], row["samples"], protocol, row["std_error"], row["replicates"])
