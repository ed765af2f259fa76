"""Image sets of the Hugging Face hub, by name."""

from __future__ import annotations

from difflab.data.encoded import EncodedImages
from difflab.data.huggingface_rows import HuggingFaceRows


class HuggingFaceImages(EncodedImages):
    """A split of a data set that `datasets.load_dataset(name)` finds: on the hub, in its cache, or in a local folder.

    name          e.g. uoft-cs/cifar10, or the path of a folder of parquet files
    split         e.g. train, test, train[:10%]
    image_column  the column of images
    label_column  the column of class numbers; None for images without classes
    image_size    side to which every image is resized and centre-cropped
    channels      3 colour, 1 grey
    """

    def __init__(
        self,
        name: str,
        split: str,
        image_column: str,
        label_column: str | None,
        image_size: int,
        channels: int = 3,
    ):
        files = HuggingFaceRows(name, split, image_column, label_column)
        rows = [str(row) for row in range(len(files))]
        super().__init__(files, rows, files.labels, files.class_names, image_size, channels)
