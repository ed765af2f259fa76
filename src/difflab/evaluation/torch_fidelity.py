"""The same numbers by torch-fidelity's own `calculate_metrics`, of the same images and the same reference: check=torch_fidelity.

Nothing of difflab but the images and the weights of Inception takes part: torch-fidelity has its own network, features, statistics and
subsets. Images keep their order (samples_shuffle=False), and its precision and recall are asked for on Inception's features, as difflab
has them (its default is VGG16). Its numbers stand beside the others, in a node of their own, and are compared with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.utils.data import Dataset

from difflab.data.dataset import ImageSource
from difflab.evaluation.evaluator import Evaluator
from difflab.evaluation.results import Measurement
from difflab.features.extractor import as_rgb
from difflab.files import atomic_file
from difflab.formatting import aligned
from difflab.metrics.needs import Counterpart


class _Images(Dataset):
    """Images as torch-fidelity reads them: uint8 RGB, one by one."""

    def __init__(self, source: ImageSource):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> torch.Tensor:
        return as_rgb(self._source.images([i]))[0].contiguous()


def check_possible(evaluator: Evaluator) -> None:
    """To be called before any work.

    Raises:
        ValueError: torch-fidelity cannot compute these numbers.
    """
    if not evaluator.extractor.identity.has_field_names:
        raise ValueError(
            f"check=torch_fidelity compares numbers of Inception's features, and these are of {evaluator.extractor.identity.name}: choose "
            "extractor=inception"
        )
    counterparts = _counterparts(evaluator)
    if not counterparts:
        raise ValueError(
            "check=torch_fidelity computes FID, IS, KID, precision and recall, and none of them is chosen: choose some of "
            "metric=[frechet,inception_score,kernel,precision_recall]"
        )
    images = evaluator.source.images if evaluator.source else None
    if images is None and any(counterpart.sees_reference for counterpart, _ in counterparts):
        raise ValueError(
            "check=torch_fidelity reads the reference's images, and the reference is a file of statistics: give images, or leave it out"
        )


def _counterparts(evaluator: Evaluator) -> list[tuple[Counterpart, int | None]]:
    """What torch-fidelity has of the metrics, each with the number of images of the reference."""
    found = ((metric.counterpart, metric.needs().reference_images) for metric in evaluator.metrics)
    return [(counterpart, count) for counterpart, count in found if counterpart is not None]


def compare(
    evaluator: Evaluator, images: ImageSource, measured: list[Measurement], device: torch.device | str
) -> dict[str, Any]:
    """Computes the numbers by torch-fidelity and puts both beside each other.

    Args:
        evaluator: By which they were measured.
        images: Of which they were.
        measured: The numbers.
        device: Where torch-fidelity's network runs.

    Returns:
        Plain values: torch-fidelity's version, and of each number both values, their difference, and whether it lies within the tolerance
        that two computations in float32 have.
    """
    import torch_fidelity

    check_possible(evaluator)
    ours, found = {one.metric: one.value for one in measured}, dict[str, Any]()
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "inception.pth"
        with atomic_file(weights) as aside:
            torch.save(evaluator.extractor.torch_fidelity_state, aside)  # it unpickles its file: here are tensors alone
        for counterpart, count in _counterparts(evaluator):
            source = evaluator.source.limited(count).images if evaluator.source else None
            theirs = torch_fidelity.calculate_metrics(
                input1=_Images(images),
                **({"input2": _Images(source)} if counterpart.sees_reference and source is not None else {}),
                **counterpart.options,
                feature_extractor="inception-v3-compat",
                feature_extractor_weights_path=str(weights),
                batch_size=min(evaluator.batch_size, len(images)),
                cuda=torch.device(device).type == "cuda",
                samples_shuffle=False,
                cache=False,
                verbose=False,
            )
            for name, key in counterpart.names.items():
                if name in ours:
                    found[name] = _beside(ours[name], theirs[key], counterpart.tolerance(ours[name], len(images)))
    return {"version": torch_fidelity.__version__, "numbers": found}


def _beside(ours: float, theirs: float, tolerance: float) -> dict[str, Any]:
    difference = theirs - ours
    within = abs(difference) <= tolerance
    return {
        "difflab": ours,
        "torch_fidelity": theirs,
        "difference": difference,
        "tolerance": tolerance,
        "within": within,
    }


def comparison(check: Mapping[str, Any]) -> str:
    """A table of both.

    Args:
        check: As `compare` gives it.
    """
    rows = [("metric", "difflab", f"torch-fidelity {check['version']}", "difference", "")]
    for name, one in check["numbers"].items():
        verdict = "within" if one["within"] else "MORE THAN"
        said = f"{verdict} {one['tolerance']:.1g}, what rounding explains"
        rows.append((name, f"{one['difflab']:.6g}", f"{one['torch_fidelity']:.6g}", f"{one['difference']:+.2g}", said))
    return aligned(rows)
