"""Every file of conf/network and conf/embedder makes a network that runs, and names each argument of its class."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate

from difflab.networks.layers import LabelEmbedding, NullableLabelEmbedding
from difflab.types import Condition, Label

CONF = Path(__file__).parents[2] / "conf"
ROOT = f"""
hydra: {{searchpath: ["file://{CONF}"]}}
defaults: [_self_, network: unet, embedder: [label]]
data: {{image_size: 8, channels: 1, num_classes: 10}}
embedder: {{}}
"""
SMALL = ["network.out_channels=2", "network.width=8", "network.channel_mult=[1,2]", "network.attention_resolutions=[4]"]
PARTS = [(g, path.stem) for g in ("norm", "resample", "attention") for path in (CONF / "network" / g).glob("*.yaml")]


@pytest.fixture(autouse=True)
def _root(tmp_path):
    (tmp_path / "root.yaml").write_text(ROOT, encoding="utf-8")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield


def network_of(*overrides):
    return instantiate(compose("root", overrides=[*SMALL, *overrides]).network)


def test_the_file_names_every_argument():
    config = compose("root").network
    arguments = set(inspect.signature(get_object(config._target_)).parameters)
    assert {key for key in config if not key.startswith("_")} == arguments


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_each_part_makes_a_network_that_runs(group, name):
    # a width of 8 has no room for heads of 64 channels
    narrow = ["network.attention.heads.channels=4"] if name.startswith("head_channels") else []
    network = network_of(f"network/{group}={name}", *narrow)
    torch.nn.init.ones_(network.conv_out.weight)
    cond = Condition(label=Label(torch.tensor([1, 2])))
    out = network(torch.randn(2, 1, 8, 8), torch.tensor([0.0, 999.0], dtype=torch.float64), cond)
    assert out.shape == (2, 2, 8, 8)
    assert out.any()


@pytest.mark.parametrize(
    ("names", "kinds"), [("label", [NullableLabelEmbedding]), ("label_strict", [LabelEmbedding]), ("", [])]
)
def test_embedders_are_a_list_of_names(names, kinds):
    network = network_of(f"embedder=[{names}]")
    assert [type(embedder) for embedder in network.embedders.values()] == kinds
