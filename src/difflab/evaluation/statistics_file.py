"""Statistics of reference data in files: those of other projects, and a cache found by content.

Statistics of features in an npz, as OpenAI, EDM, pytorch-fid and others publish them.

    mu [D], sigma [D, D]      mean and covariance (numpy.cov, divided by n - 1) of the features
    mu_s [S], sigma_s [S, S]  the same of the spatial features (ADM's reference batches)

Nobody's file says which extractor or how many images it was made with. Ours adds count, extractor and extractor_fingerprint, which the
programs of others leave alone.

Gaussians of reference data on disk, found by content.

One safetensors file per key, in $DIFFLAB_CACHE or ~/.cache/difflab. The key is a hash of all fields that define the statistics, never a
folder's name; the fields stand in the file and are compared when it is read. A file is written whole or not at all. A damaged one is
recomputed with a warning; a folder that cannot be written costs time, not the run.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from difflab.data.errors import DataError
from difflab.data.file_store import cache_root
from difflab.data.npz import array_names, whole_array
from difflab.data.source_kind import COVARIANCE, MEAN, kind_of
from difflab.features.extractor import FeatureExtractor, Identity
from difflab.files import atomic_file, write_bytes
from difflab.metrics.gaussian import Gaussian
from difflab.reading import shown
from difflab.reading.arrays import opened_safetensors

_SUFFIXES = {"features": "", "spatial": "_s"}
"""Column -> what follows mu and sigma in the arrays' names."""
_COUNT, _EXTRACTOR, _FINGERPRINT = "count", "extractor", "extractor_fingerprint"

_ASYMMETRY = 1e-6
"""Largest |S - S^T| relative to the largest |S|."""
_LARGEST = 1e30
"""Of a mean or a covariance: the square of a larger one leaves the range of numbers on the way to a distance."""
_NEGATIVE = 1e-5
"""Largest -eigenvalue relative to the largest one: what rounding to float32 does at D = 2048."""


@dataclass(frozen=True)
class StatisticsFile:
    """What a file of statistics says.

    Attributes:
        gaussians: Column (features, spatial) -> Gaussian in float64; its count is 0 where the file does not say it.
        extractor: Name and fingerprint of the extractor; None where the file does not say it, "" for a fingerprint that is not said.
        fingerprint: A hash of means and covariances, the same wherever the file lies and whatever else stands in it.
    """

    gaussians: dict[str, Gaussian]
    extractor: tuple[str, str] | None
    fingerprint: str

    def open_question(self, path: str, identity: Identity) -> str | None:
        """What one should know of a number that is measured against the file, which does not say it; None where it says all.

        Args:
            path: Of the file.
            identity: Of the samples' extractor.
        """
        if self.extractor is not None and self.extractor[1]:
            return None
        count = "" if self.gaussians["features"].count else ", nor of how many images,"
        hint = "" if identity.has_field_names else "; published ones are Inception's"
        return (
            f"{path} does not say of which extractor and resize{count} its statistics are: the number holds if they are those of "
            f"{identity.name} ({identity.preprocessing}){hint}"
        )


def open_statistics(path: str | Path, extractor: FeatureExtractor | None = None) -> StatisticsFile:
    """The statistics in an npz, checked; and checked to be of `extractor`, as far as the file can tell."""
    place, kind = Path(path), kind_of(path)
    if not kind.has_statistics:
        raise DataError(f"{place} is {kind.described}; expected an npz of statistics ({MEAN} and {COVARIANCE}).")
    present = array_names(place)
    count = _count(place) if _COUNT in present else 0
    made_by = None
    if _EXTRACTOR in present:
        print_of = _text(place, _FINGERPRINT) if _FINGERPRINT in present else ""
        made_by = (_text(place, _EXTRACTOR), print_of)
    gaussians, digest = {}, hashlib.blake2b(digest_size=16)
    for column, suffix in _SUFFIXES.items():
        mean, covariance = MEAN + suffix, COVARIANCE + suffix
        if mean in present and covariance in present:
            gaussians[column] = _gaussian(place, mean, covariance, count)
            for values in (gaussians[column].mean, gaussians[column].covariance):
                digest.update(f"{column} {list(values.shape)}".encode() + values.numpy().tobytes())
        elif mean in present or covariance in present:
            raise DataError(f"{place} has only one of {mean} and {covariance}. Get it again, or remove that array.")
    found = StatisticsFile(gaussians, made_by, digest.hexdigest())
    if extractor is not None:
        _check_extractor(found, extractor, place)
    return found


def save_statistics(path: str | Path, gaussians: Mapping[str, Gaussian], extractor: FeatureExtractor) -> None:
    """Writes an npz that `open_statistics` and the programs of others read, whole or not at all."""
    place = Path(path)
    if place.suffix != ".npz":
        raise ValueError(f"{place}: a file of statistics is called *.npz")
    if "features" not in gaussians or not gaussians.keys() <= _SUFFIXES.keys():
        raise ValueError(
            f"statistics have the columns features and perhaps spatial, not {', '.join(gaussians) or 'none'}"
        )
    arrays: dict[str, np.ndarray] = {
        _COUNT: np.array(gaussians["features"].count),
        _EXTRACTOR: np.array(extractor.identity.name),
        _FINGERPRINT: np.array(extractor.fingerprint),
    }
    for column, gaussian in gaussians.items():
        arrays[MEAN + _SUFFIXES[column]] = gaussian.mean.cpu().numpy()
        arrays[COVARIANCE + _SUFFIXES[column]] = gaussian.covariance.cpu().numpy()
    with atomic_file(place) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def _gaussian(path: Path, mean_name: str, covariance_name: str, count: int) -> Gaussian:
    mean, covariance = _numbers(path, mean_name), _numbers(path, covariance_name)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        raise DataError(
            f"{path}: {mean_name} has the shape {list(mean.shape)} and {covariance_name} {list(covariance.shape)}; "
            "expected [D] and [D, D]."
        )
    asymmetry = (covariance - covariance.T).abs().max() / covariance.abs().max().clamp(min=1e-300)
    if asymmetry > _ASYMMETRY:
        raise DataError(
            f"{path}: {covariance_name} is not symmetric (by {asymmetry:.2g} of its largest element), hence no covariance."
        )
    covariance = (covariance + covariance.T) / 2  # exact where it was symmetric
    eigenvalues = torch.linalg.eigvalsh(covariance)
    if eigenvalues[0] < -_NEGATIVE * eigenvalues[-1].abs():
        raise DataError(
            f"{path}: {covariance_name} has the eigenvalues {eigenvalues[0]:.4g} to {eigenvalues[-1]:.4g}; a covariance has "
            "none below 0. Compute it again in float64."
        )
    return Gaussian(mean, covariance, count)


def _single(path: Path, name: str) -> Any:
    """The value of an array of one."""
    values = whole_array(path, name)
    if values.size != 1:
        raise DataError(f"{path}: {name} has the shape {list(values.shape)}; expected a single value. Save it again.")
    return values.reshape(())[()]


def _count(path: Path) -> int:
    value = _single(path, _COUNT)
    if not isinstance(value, np.integer | np.floating) or not 0 <= value < 2**53 or value != int(value):
        raise DataError(f"{path}: {_COUNT} is {shown(value)}; expected the number of images. Save it again.")
    return int(value)


def _text(path: Path, name: str) -> str:
    value = _single(path, name)
    if not isinstance(value, str) or not value.isprintable():
        raise DataError(f"{path}: {name} is {shown(value)!r}; expected a name. Save it again.")
    return str(value)


def _numbers(path: Path, name: str) -> Tensor:
    values = whole_array(path, name)
    if values.dtype.kind != "f":
        raise DataError(f"{path}: {name} holds {values.dtype}; expected floating-point numbers.")
    if values.size and np.isfinite(values).all() and np.abs(values).max() > _LARGEST:
        raise DataError(
            f"{path}: {name} has values up to {np.abs(values).max():.3g}, which no features have. Compute the statistics again."
        )
    if not np.isfinite(values).all():
        index = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(f"{path}: {name}{index} is {values[tuple(index)]}. Compute the statistics again.")
    return torch.from_numpy(values.astype(np.float64))


def _check_extractor(found: StatisticsFile, extractor: FeatureExtractor, path: Path) -> None:
    identity = extractor.identity
    for column, gaussian in found.gaussians.items():
        width = identity.columns.get(column)
        if width is not None and width != len(gaussian.mean):
            name = MEAN + _SUFFIXES[column]
            raise DataError(
                f"{path}: {name} has {len(gaussian.mean)} dimensions, but {column} of {identity.name} have {width}: it comes "
                "from another extractor. Choose that one (extractor=...), or statistics of this one."
            )
    ours = (identity.name, extractor.fingerprint)
    if found.extractor not in (None, ours, (identity.name, "")):
        raise DataError(
            f"{path} was made with {' '.join(found.extractor or ()).strip()}, not with {' '.join(ours)}. Choose the same extractor and "
            "weights, or compute the statistics again."
        )


class StatisticsCache:
    """folder: where the files lie; None for the default."""

    def __init__(self, folder: str | Path | None = None):
        self.folder = Path(folder).expanduser() if folder is not None else cache_root()

    def path(self, fields: dict[str, str | int]) -> Path:
        return self.folder / f"statistics-{hashlib.sha256(_canonical(fields).encode()).hexdigest()[:32]}.safetensors"

    def load(self, fields: dict[str, str | int]) -> Gaussian | None:
        """What was stored under exactly these fields, None if nothing was or if it cannot be read."""
        path = self.path(fields)
        if not path.exists():
            return None
        try:
            with opened_safetensors(path) as file:
                metadata = file.metadata() or {}
                if metadata.get("fields") != _canonical(fields) or metadata.get("sha256") is None:
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
        metadata = {"fields": _canonical(fields), "count": str(gaussian.count), "sha256": _checksum(mean, covariance)}
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


def _canonical(fields: dict[str, str | int]) -> str:
    return json.dumps(fields, sort_keys=True)


def _checksum(mean: torch.Tensor, covariance: torch.Tensor) -> str:
    return hashlib.sha256(mean.numpy().tobytes() + covariance.numpy().tobytes()).hexdigest()
