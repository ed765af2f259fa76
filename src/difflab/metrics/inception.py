"""The InceptionV3 of FID and IS: torch-fidelity's port of the graph of 2015-12-05, weights and TensorFlow 1 resize included.

FID uses the 2048 pooled features, IS the logits without bias ("logits_unbiased"), as the papers' TensorFlow code did. The only extractor
whose numbers are called `fid` and `is`. Weights (96 MB) are never downloaded behind the user's back: give a path, or put the file where
torch.hub keeps its downloads, or name it by the environment variable DIFFLAB_INCEPTION.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from difflab.metrics.extractor import FeatureExtractor, Features, Identity, as_rgb

FILE_NAME = "weights-inception-2015-12-05-6726825d.pth"
RELEASE = "torch-fidelity's release v0.2.0 on GitHub"


def find_inception_weights(weights: str | Path | None = None) -> Path | None:
    """The given path, else $DIFFLAB_INCEPTION, else torch.hub's folder if the file is there, else None.

    A path that was named must exist: another extractor never takes its place without a word.
    """
    named = weights or os.environ.get("DIFFLAB_INCEPTION")
    path = Path(named).expanduser() if named else _hub_path()
    if named and not path.is_file():
        raise FileNotFoundError(
            f"no Inception weights at {path}: put {FILE_NAME} (from {RELEASE}) there, or name another path"
        )
    return path if path.is_file() else None


def _hub_path() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME


class InceptionExtractor(FeatureExtractor):
    """2048 features and 1008 logits of torch-fidelity's InceptionV3; images of any size, grey ones are repeated to RGB.

    weights  path of the weights; None looks into $DIFFLAB_INCEPTION and torch.hub's folder
    """

    def __init__(self, weights: str | Path | None = None):
        path = find_inception_weights(weights)
        if path is None:
            raise FileNotFoundError(
                f"no Inception weights: put {FILE_NAME} (from {RELEASE}) into {_hub_path().parent}, or name it by weights=PATH or "
                "$DIFFLAB_INCEPTION, or choose extractor=efflite0"
            )
        # imported here: it takes seconds, and most runs measure with another extractor
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            # torch-fidelity unpickles without restriction: make sure first that the file holds nothing but tensors
            torch.load(path, weights_only=True)
            network = FeatureExtractorInceptionV3(
                "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
            )
        except Exception as error:
            raise ValueError(
                f"{path} does not hold the weights of torch-fidelity's InceptionV3 (expected {FILE_NAME} from {RELEASE}): {error}"
            ) from error
        identity = Identity(
            name="inception",
            dimension=2048,
            num_classes=1008,
            preprocessing="TensorFlow 1 bilinear resize to 299, (u - 128) / 128",
        )
        super().__init__(identity, network)

    def _extract(self, images: Tensor) -> Features:
        return Features(*self._network(as_rgb(images)))
