"""Images of a data set of Hugging Face `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.data.encoded import EncodedImages
from difflab.data.errors import DataError
from difflab.data.file_store import FileStore
from difflab.data.folder import LARGEST
from difflab.data.labels import CLASSES
from difflab.reading import read_bytes, shown
from difflab.runtime.foreign_code import file_stamps
from difflab.runtime.invocation import installation
from difflab.types import ImageSize


class HuggingFaceRows(FileStore):
    """The arguments are those of `HuggingFaceImages`.

    Attributes:
        labels: [N], or None.
        class_names: Empty without labels.
    """

    def __init__(self, name: str, split: str, image_column: str, label_column: str | None):
        self.name = name
        try:
            import datasets
        except ImportError as error:
            raise DataError(f"data=huggingface needs the package datasets: {installation('hub')}") from error
        try:
            rows: Any = datasets.load_dataset(name, split=split)
        except Exception as error:  # the library raises many kinds, and its own text says what it looked for
            raise DataError(f"datasets.load_dataset({name!r}, split={split!r}) failed: {error}") from error
        for column in (image_column, label_column):
            if column is not None and column not in rows.column_names:
                raise DataError(
                    f"{name} has the columns {rows.column_names}, not {column!r}. Set data.dataset.*_column."
                )
        if not len(rows):
            raise DataError(f"{name}, split {split!r}, is empty. Set data.dataset.split.")
        if not isinstance(rows.features[image_column], datasets.Image):
            raise DataError(f"{name}: the column {image_column!r} holds no images. Set data.dataset.image_column.")
        self.labels, self.class_names = (None, []) if label_column is None else _labels(rows, label_column, name)
        self._files = [entry["filename"] for entry in rows.cache_files]
        self._rows = rows.select_columns(image_column).cast_column(image_column, datasets.Image(decode=False))
        self._column = image_column
        config: Any = datasets.config  # pyright: ignore[reportAttributeAccessIssue]
        caches = (
            config.HF_DATASETS_CACHE,
            config.DOWNLOADED_DATASETS_PATH,
            config.HF_CACHE_HOME,
        )
        own = [Path(name)] if Path(name).is_dir() else [Path(str(cache)) for cache in caches]
        self._roots = [place.resolve() for place in own]

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, name: str) -> bytes:
        image = self._rows[int(name)][self._column]
        if image is None:
            raise DataError(f"{self.where(name)} has no image. Choose a split without gaps, or filter the data set.")
        return self._file(image["path"], name) if image["bytes"] is None else image["bytes"]

    def _file(self, path: Any, name: str) -> bytes:
        """A file that a row names and does not hold: one of the data set's own, and no other of this computer."""
        where = f"{self.where(name)} names the file {shown(path)}"
        if not isinstance(path, str):
            raise DataError(f"{self.where(name)} has no image. Choose a split without gaps, or filter the data set.")
        place = Path(path).resolve()
        if not any(place.is_relative_to(root) for root in self._roots):
            raise DataError(
                f"{where}, which lies outside of the data set: it is not read. Put the image into the data set, or remove the row."
            )
        return read_bytes(place, LARGEST)

    def where(self, name: str) -> str:
        return f"{self.name}, row {name}"

    def stamp(self, names: Sequence[str]) -> str | None:
        if not self._files:
            return None
        return repr((self._files, file_stamps(self._files), self._column, self._rows.split))


def _labels(rows: Any, column: str, name: str) -> tuple[Tensor, list[str]]:
    values = rows[column][:]
    wrong = [row for row, value in enumerate(values) if type(value) is not int or not 0 <= value < CLASSES]
    if wrong:
        found = shown(repr(values[wrong[0]]))
        raise DataError(
            f"{name}, row {wrong[0]}: the label {found} in column {column!r} is no class number. "
            "Choose another split or column, or set data.dataset.label_column=null."
        )
    labels = torch.tensor(values)
    names = getattr(rows.features[column], "names", None)
    return labels, names or [str(label) for label in range(int(labels.max()) + 1)]


class HuggingFaceImages(EncodedImages):
    """A split of a data set that `datasets.load_dataset(name)` finds: on the hub, in its cache, or in a local folder.

    Args:
        name: e.g. uoft-cs/cifar10, or the path of a folder of parquet files.
        split: e.g. train, test, train[:10%].
        image_column: The column of images.
        label_column: The column of class numbers; None for images without classes.
        image_size: Side of the square to which every image is resized and centre-cropped, or [H, W].
        channels: 3 colour, 1 grey.
    """

    def __init__(
        self,
        name: str,
        split: str,
        image_column: str,
        label_column: str | None,
        image_size: ImageSize,
        channels: int = 3,
    ):
        files = HuggingFaceRows(name, split, image_column, label_column)
        rows = [str(row) for row in range(len(files))]
        super().__init__(files, rows, files.labels, files.class_names, image_size, channels)
