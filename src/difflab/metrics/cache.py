"""Gaussians of reference data on disk, found by content.

One safetensors file per key, in $DIFFLAB_CACHE or ~/.cache/difflab. The key is a hash of all fields that define the statistics, never a
folder's name; the fields stand in the file and are compared when it is read. A file is written whole or not at all. A damaged one is
recomputed with a warning; a folder that cannot be written costs time, not the run.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save

from difflab.data.cache import cache_root
from difflab.files import write_bytes
from difflab.metrics.moments import Gaussian
from difflab.reading.weights import opened_safetensors


class StatisticsCache:
    """folder: where the files lie; None for the default."""

    def __init__(self, folder: str | Path | None = None):
        self.folder = Path(folder).expanduser() if folder is not None else cache_root()

    def path(self, fields: dict[str, str | int]) -> Path:
        return self.folder / f"statistics-{hashlib.sha256(_text(fields).encode()).hexdigest()[:32]}.safetensors"

    def load(self, fields: dict[str, str | int]) -> Gaussian | None:
        """What was stored under exactly these fields, None if nothing was or if it cannot be read."""
        path = self.path(fields)
        if not path.exists():
            return None
        try:
            with opened_safetensors(path) as file:
                metadata = file.metadata() or {}
                if metadata.get("fields") != _text(fields) or metadata.get("sha256") is None:
                    raise ValueError("it describes other statistics than its name says")
                mean, covariance = file.get_tensor("mean"), file.get_tensor("covariance")
            if metadata["sha256"] != _checksum(mean, covariance):
                raise ValueError("its checksum is wrong")
            return Gaussian(mean, covariance, int(metadata["count"]))
        except (ValueError, KeyError, OSError) as error:
            warnings.warn(f"the cached statistics {path} are damaged ({error}); they are computed again", stacklevel=2)
            return None

    def store(self, fields: dict[str, str | int], gaussian: Gaussian) -> None:
        mean, covariance = gaussian.mean.cpu(), gaussian.covariance.cpu().contiguous()
        metadata = {"fields": _text(fields), "count": str(gaussian.count), "sha256": _checksum(mean, covariance)}
        content = save({"mean": mean, "covariance": covariance}, metadata)
        path = self.path(fields)
        try:
            write_bytes(path, content)
        except OSError as error:
            warnings.warn(
                f"statistics could not be stored at {path} ({error}) and will be computed again next time: "
                "let $DIFFLAB_CACHE name a folder that can be written",
                stacklevel=2,
            )


def _text(fields: dict[str, str | int]) -> str:
    return json.dumps(fields, sort_keys=True)


def _checksum(mean: torch.Tensor, covariance: torch.Tensor) -> str:
    return hashlib.sha256(mean.numpy().tobytes() + covariance.numpy().tobytes()).hexdigest()
