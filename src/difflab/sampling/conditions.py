"""The group `conditions`: for whom images are drawn, one and the same in training's evaluation, sample.py and evaluate.py.

What is chosen is built by name, {"of_data": OfData()}, put together and made ready for what is drawn:

    conditions = Several(with_words(parts or default_for(drawing), classes=3)).prepare(drawing)
    conditions(seeds)                                       # -> Condition

Where nothing is chosen there are all classes in turn, and for a model that upsamples the images of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from difflab.config.groups import ConfigError
from difflab.sampling.classes import InTurn, Listed, of_classes
from difflab.sampling.given import GivenImages, LowRes, OfData, OfStage
from difflab.sampling.prompts import Conditions, Drawing, Several

__all__ = [
    "Conditions",
    "Drawing",
    "GivenImages",
    "InTurn",
    "Listed",
    "LowRes",
    "OfData",
    "OfStage",
    "Several",
    "default_for",
    "images_of_stages",
    "set_level",
    "with_words",
]


def default_for(drawing: Drawing, is_given: bool = False) -> dict[str, Conditions]:
    """What images are drawn for where nothing is chosen.

    Args:
        drawing: What is drawn.
        is_given: Whether the small images, if any, are those of another model.
    """
    from_data = drawing.low_resolution is not None and not is_given
    upsampled: dict[str, Conditions] = {"of_data": OfData()} if from_data else {}
    return {"in_turn": InTurn(), **upsampled}


def with_words(
    parts: Mapping[str, Conditions],
    classes: int | str | Sequence[int] | None = None,
    low_res: str | None = None,
) -> dict[str, Conditions]:
    """The conditions with what the short words of sample.py and evaluate.py say.

    Args:
        parts: Name -> conditions.
        classes: A class, several in turn, or an .npy file of a label per image.
        low_res: Where the small images are, in place of those of the data.
    """
    found = dict(parts)
    if low_res is not None:
        found.pop("of_data", None)
        found["low_res"] = LowRes(low_res)
    if classes is not None:
        found.pop("classes", None)
        found["classes"] = of_classes(classes)
    return found


def images_of_stages(num_samples: int, batch_sizes: list[int]) -> list[int]:
    """How many images each stage draws, so that the last has `num_samples`: the one before it draws for whole batches of it.

    The last batch is filled up with further seeds, and an image of them has to be what it will be when the set grows.
    """
    counts = [num_samples]
    for size in reversed(batch_sizes[1:]):
        last = counts[0]
        counts.insert(0, last if last <= size else -(-last // size) * size)
    return counts


def set_level(config: Mapping[str, Any], level: float) -> None:
    """This fixed amount of noise on the small images in sampling.

    Args:
        config: Of the model, plain; changed in place.
        level: Of the augmentation, in its own unit.

    Raises:
        ConfigError: The model was trained without noise on small images.
    """
    low_resolution = (config.get("conditioning") or {}).get("low_resolution") or {}
    augmentation = low_resolution.get("augmentation") or {}
    for name in ("level", "time"):
        if name in augmentation:
            augmentation[name] = level
            return
    raise ConfigError(
        f"level={level:g}: this model was not trained with noise on small images (conditioning augmentation)"
    )
