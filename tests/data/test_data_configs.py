"""Every conf/data/*.yaml is the list of a constructor's arguments, and those without files instantiate."""

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from difflab.data import DataError, ImageData, ImageFolder
from one_pass import each

FOLDER = Path(__file__).parents[2] / "conf" / "data"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, *overrides: str) -> DictConfig:
    base = OmegaConf.create({"seed": 3, "data": OmegaConf.load(FOLDER / f"{name}.yaml")})
    config = OmegaConf.merge(base, OmegaConf.from_dotlist(list(overrides)))
    assert isinstance(config, DictConfig)
    return config


@each("name", NAMES)
def test_the_keys_are_the_arguments(name):
    config = load(name).data
    nodes = [config, config.dataset, *config.augmentations]
    if "mixture" in config.dataset:
        nodes.append(config.dataset.mixture)
    for node in nodes:
        assert set(node) - {"_target_", "defaults"} == set(inspect.signature(get_object(node._target_)).parameters)


@each("name", NAMES)
def test_each_opens_with_one_line_about_itself(name):
    first, second = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:2]
    assert first.startswith("# ")
    assert second == "_target_: difflab.data.ImageData"


@pytest.mark.parametrize("name", ["digits", "mixture"])
def test_embedded_sets_instantiate(name):
    data = instantiate(load(name, "data.batch_size=6").data)
    assert isinstance(data, ImageData)
    batch = next(iter(data.train_dataloader()))
    assert batch.x0.shape == (6, data.channels, data.image_size, data.image_size)
    assert data.stream.seed == 3


def test_a_folder_of_ones_own(tmp_path, write_image):
    for number in range(4):
        write_image(tmp_path / f"class{number % 2}" / f"{number}.png", number)
    settings = (f"data.dataset.root={tmp_path}", "data.image_size=8", "data.num_classes=2")
    data = instantiate(load("folder", *settings).data)
    assert isinstance(data.dataset, ImageFolder)
    assert data.dataset.class_names == ("class0", "class1")
    with pytest.raises(Exception, match=r"set data.num_classes=2") as caught:
        instantiate(load("folder", *settings, "data.num_classes=5").data)
    assert isinstance(caught.value.__cause__, DataError)
