"""Which images a super-resolution model is to enlarge, by the command's word."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.checkpoints.load import ModelSource
from difflab.checkpoints.trained_data import held_out_data, trained_data
from difflab.conditioning import LowResolution, low_resolution_of
from difflab.config.keys import ConfigError
from difflab.data import ImageDataset, Shuffled, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.runtime.invocation import program
from difflab.sampling.conditions import GivenImages
from difflab.sampling.sample_set import PLAN_FILE, read_set


class Enlarged:
    """low_resolution   how the model was told small images
    given            those that it is to enlarge, opened when they are first asked for
    """

    def __init__(
        self, source: Callable[[], LabelledSource], low_resolution: LowResolution, image_shape: tuple[int, int, int]
    ):
        self._source = source
        self.low_resolution = low_resolution
        self._image_shape = image_shape

    @cached_property
    def given(self) -> GivenImages:
        return GivenImages(self._source(), self.low_resolution, self._image_shape)


def enlarged_by(
    config: DictConfig, model: DictConfig, source: ModelSource, stage_before: LabelledSource | None
) -> Enlarged | None:
    """What the command says, else the run's held-out images, else those that it was trained on; None for a model that draws from noise
    alone.

    model          configuration of the model, with what the command has chosen
    source         the model
    stage_before   its images, in a cascade: it is those that are enlarged
    """
    image_shape = source.denoiser.image_shape
    low_resolution = low_resolution_of(instantiate(model.get("conditioning") or {}, _convert_="all"))
    if low_resolution is None:
        if config.low_res is not None:
            raise ConfigError(f"low_res={config.low_res}: this model draws from noise alone and enlarges nothing")
        return None
    if stage_before is not None:
        return Enlarged(lambda: stage_before, low_resolution, image_shape)
    if config.low_res is not None:
        return Enlarged(lambda: _stored(Path(config.low_res)), low_resolution, image_shape)
    if model.get("data") is None:
        raise ConfigError(
            f"this model enlarges images: give low_res=FILE, an npz, a folder or what {program('sample')} has written"
        )
    return Enlarged(lambda: Shuffled(_of_the_run(source)), low_resolution, image_shape)


def set_level(model: DictConfig, level: float) -> None:
    """This fixed amount of noise on the small images in sampling."""
    augmentation = OmegaConf.select(model, "conditioning.low_resolution.augmentation")
    for name in ("level", "time"):
        if augmentation is not None and name in augmentation:
            augmentation[name] = level
            return
    raise ConfigError(
        f"level={level:g}: this model was not trained with noise on small images (conditioning augmentation)"
    )


def _of_the_run(source: ModelSource) -> ImageDataset:
    """Held-out images, else those that it was trained on."""
    if source.config.get("held_out"):
        return held_out_data(source.config, source.file)
    return trained_data(source.config, source.file)


def _stored(path: Path) -> LabelledSource:
    """The images of a file or a folder, also of one that sample.py has written."""
    return open_image_set(read_set(path)[0][0] if (path / PLAN_FILE).is_file() else path)
