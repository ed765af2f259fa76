"""What the numbers of earlier versions are, which were written without their `MetricInfo`.

The protocol of such a number names metric and extractor. Each metric that comes with difflab is asked whether it gives exactly this name
for this extractor, and its declaration then holds. A number that none of them gives is of another package: nobody guesses.
"""

from __future__ import annotations

from difflab.metrics.metric_info import MetricInfo
from difflab.metrics.protocol import Protocol


def recognised(metric: str, protocol: Protocol) -> MetricInfo | None:
    """The declaration of a number that difflab itself has measured; None for any other."""
    from difflab.metrics import bits_per_dim, held_out, measures  # which measure, and hence know what is read here

    parts = [getattr(measures, name) for name in measures.__all__]
    for part in (*parts, bits_per_dim.BitsPerDim, held_out.HeldOut):
        if (info := part.declared(metric, protocol.fields)) is not None:
            return info
    return None
