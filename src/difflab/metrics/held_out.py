"""The numbers of a classifier on images that it was not trained on: `loss`, `top1`, `top5`, and of each quarter of time `loss_q1` ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Value

QUARTERS = 4


class HeldOut:
    """Cross-entropy, and the shares of images whose class is among the one or five likeliest."""

    terms: Mapping[str, MetricInfo] = {
        "loss": MetricInfo(higher_is_better=False, unit="nats", label="held-out loss"),
        "top1": MetricInfo(higher_is_better=True, bounds=(0.0, 1.0), label="top-1 accuracy"),
        "top5": MetricInfo(higher_is_better=True, bounds=(0.0, 1.0), label="top-5 accuracy"),
    }

    @classmethod
    def info(cls) -> dict[str, MetricInfo]:
        """Name -> what kind of number it is."""
        parts = {"": "", **{f"_q{quarter}": f", quarter {quarter} of time" for quarter in range(1, QUARTERS + 1)}}
        return {
            f"{term}{part}": replace(info, label=f"{info.label}{words}")
            for term, info in cls.terms.items()
            for part, words in parts.items()
        }

    @classmethod
    def declared(cls, name: str, fields: Mapping[str, Value]) -> MetricInfo | None:
        """Its protocol names no extractor and no sampler: nothing is drawn."""
        drawn = any(field.startswith(("extractor.", "sampler.")) for field in fields)
        return None if drawn else cls.info().get(name)
