"""A cache of its own for each test, and small sets of image files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def write_image():
    """write_image(path, seed, size=(w, h)) -> the pixels [h, w, 3] of a random PNG."""

    def write(path: Path, seed: int, size: tuple[int, int] = (12, 12)) -> np.ndarray:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return pixels

    return write
