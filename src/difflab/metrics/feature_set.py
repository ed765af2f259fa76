"""What an extractor says of N images, in parts that need not be in memory together.

Row i belongs to image i, whoever computed it and in whatever batch. A part may be a memory-mapped file, so that metrics which go
through the set once (moments, scores) need the memory of one part, whatever N is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from difflab.metrics.extractor import Features, Identity


class FeatureSet:
    """Columns (features [N, D], and where the extractor has them logits [N, K], spatial [N, S]) of N images.

    identity   of the extractor
    parts      row blocks after each other, each with the same columns, float32
    labels     [N] int64 class of each image, or None
    fingerprint  of images and extractor, by which statistics of the set are cached; None for a set that is not kept
    digests    [N, 16] uint8, a hash of each image's pixels; None where they were not looked at
    """

    def __init__(
        self,
        identity: Identity,
        parts: Sequence[Mapping[str, Tensor]],
        labels: Int[Tensor, " n"] | None = None,
        fingerprint: str | None = None,
        digests: UInt8[Tensor, "n 16"] | None = None,
    ):
        self.identity, self.fingerprint, self.digests = identity, fingerprint, digests
        self.parts = [dict(part) for part in parts]
        self.labels = labels
        self.count = sum(len(part["features"]) for part in self.parts)
        for part in self.parts:
            found = {name: part[name].shape[1] for name in part}
            if found != identity.columns:
                raise ValueError(f"features of {identity.name} have the columns {identity.columns}, got {found}")
        if labels is not None and len(labels) != self.count:
            raise ValueError(f"{self.count} images but {len(labels)} labels")

    @classmethod
    def of(cls, identity: Identity, features: Features, labels: Tensor | None = None) -> FeatureSet:
        """A set in one part, in memory."""
        columns = {name: value for name, value in features._asdict().items() if value is not None}
        return cls(identity, [columns], labels)

    def __len__(self) -> int:
        return self.count

    def chunks(self, column: str, size: int = 4096) -> Iterator[tuple[int, Float[Tensor, "n d"]]]:
        """(number of the first row, rows) through the whole column, at most `size` rows at a time."""
        start = 0
        for part in self.parts:
            for rows in part[column].split(size):
                yield start, rows
                start += len(rows)

    def column(self, column: str) -> Float[Tensor, "n d"]:
        """The whole column in memory."""
        return torch.cat([part[column] for part in self.parts])

    def select(self, rows: Int[Tensor, " m"]) -> FeatureSet:
        """The set of these rows, in their order, in memory. Of the others nothing is read."""
        ends = torch.tensor([len(part["features"]) for part in self.parts]).cumsum(0)
        holder = torch.bucketize(rows, ends, right=True)
        columns = {}
        for name, width in self.identity.columns.items():
            columns[name] = torch.empty(len(rows), width)
            for i in holder.unique().tolist():
                here = holder == i
                part = self.parts[i][name]
                columns[name][here] = part[rows[here] - (ends[i] - len(part))].to(columns[name])
        return FeatureSet(self.identity, [columns], None if self.labels is None else self.labels[rows])
