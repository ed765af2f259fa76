"""OpenAI's format of samples."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from difflab.files import atomic_file
from difflab.sampling.formats.format import Format
from difflab.sampling.shards import Shards


class Npz(Format):
    """samples_NxHxWxC.npz: arr_0 uint8 [N, H, W, C], and arr_1 int64 [N], the labels, for a model that is told classes.

    What guided-diffusion's evaluator reads. It is the file that numpy.savez would have written, without the images in memory.
    """

    needs_pictures = False

    def write(self, shards: Shards, folder: Path) -> Path:
        c, h, w = shards.shape
        shape = (len(shards), h, w, c)
        path = folder / f"samples_{'x'.join(map(str, shape))}.npz"
        with atomic_file(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            pixels = (images.permute(0, 2, 3, 1).contiguous().numpy().tobytes() for _, images in shards.batches())
            _write_array(archive, "arr_0", "|u1", shape, pixels)
            if shards.labels is not None:
                _write_array(
                    archive, "arr_1", "<i8", (len(shards),), [shards.labels.numpy().astype("<i8", copy=False).tobytes()]
                )
        return path


def _write_array(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], parts: Iterable[bytes]
) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)  # pyright: ignore[reportArgumentType]
        for part in parts:
            file.write(part)
