"""How many of the samples are to be found among the data."""

from __future__ import annotations

import math

import torch

from difflab.features.extractor import FeatureSet, Identity
from difflab.metrics.metric import Metric
from difflab.metrics.needs import Needs, Reference, Replicates
from difflab.metrics.neighbours import both_features
from difflab.metrics.protocol import MetricInfo


class KnownShare(Metric):
    """The share of samples whose features are those of an example of the reference, to the last bit.

    For data of which there are few different ones, as the five patterns of `data.Heartbeat`: there it is the share of samples that are
    possible at all. Of images it would be the share that is learnt by heart, and says little about quality. The standard error is that of
    independent yes and no, (p (1 - p) / (N - 1))^1/2.
    """

    higher_is_better = True
    plot_upper_bound = 1.0

    def info(self, identity: Identity) -> dict[str, MetricInfo]:
        return {identity.named("known"): self.kind(identity.label("share of known examples"))}

    def needs(self) -> Needs:
        return Needs(reference_features=True, samples=2, references=1)

    def protocol(self) -> dict[str, str | int | float]:
        return {}

    def measure(self, samples: FeatureSet, reference: Reference) -> dict[str, float]:
        x, y = both_features("the share of known examples", samples, reference, 2, 1)
        known = {row.tobytes() for row in y.float().contiguous().numpy()}
        found = torch.tensor([row.tobytes() in known for row in x.float().contiguous().numpy()])
        return dict.fromkeys(self.names(samples.identity), found.double().mean().item())

    def standard_errors(self, samples: FeatureSet, reference: Reference, replicates: Replicates) -> dict[str, float]:
        return {
            name: math.sqrt(share * (1 - share) / (len(samples) - 1))
            for name, share in self.measure(samples, reference).items()
        }
