"""What a network computes, beside the published ones of about as much work."""

import gzip
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.studies.planning.counterparts import TRANSFORMERS, UNETS, as_text, nearest, work
from running import composed

GOLDEN = Path(__file__).parents[2] / "golden"


def test_the_published_transformers_have_the_numbers_of_their_own_code():
    maps = json.loads(gzip.decompress((GOLDEN / "dit.json.gz").read_bytes()))["maps"]
    known = {one.name: one for one in TRANSFORMERS}
    seen = [name for name in maps if name.startswith("published/")]
    assert len(seen) >= 15
    for name in seen:
        patches = next(shape for key, shape in maps[name]["keys"] if key == "pos_embed")
        one = known[name.removeprefix("published/").replace("SiT", "DiT").removesuffix("@32")]
        assert one.forward_flops == maps[name]["flops_batch1"]
        assert one.parameters == maps[name]["nparams"] - patches[1] * patches[2]


def test_the_published_unets_have_the_numbers_of_their_own_code():
    released = json.loads((GOLDEN / "released_checkpoints.json").read_text(encoding="utf-8"))
    files = (
        "64x64_diffusion",
        "128x128_diffusion",
        "256x256_diffusion",
        "512x512_diffusion",
        "64_256_upsampler",
        "128_512_upsampler",
    )
    assert [one[1:] for one in UNETS] == [(released[f]["nparams"], released[f]["forward_flops_batch1"]) for f in files]


def config_of(folder, *words):
    """A run's config.yaml, as train.py writes it."""
    config = composed("train", *words)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
    return folder / "config.yaml"


@pytest.mark.parametrize(("patch", "work_of"), [(2, "DiT-S/2"), (4, "DiT-S/4")])
def test_a_transformer_of_a_published_size_is_found_again(patch, work_of, tmp_path):
    data = ("data=mixture", "data.image_size=32", "data.channels=4", "data.num_classes=1000")
    found = work(config_of(tmp_path, *data, "network=dit", f"network.patch={patch}"))
    published = next(one for one in TRANSFORMERS if one.name == work_of)
    assert found is not None
    assert (found["parameters"], found["forward_flops"]) == published[1:]
    assert [one["name"] for one in found["nearest"]] == [work_of, "ADM 64 x 64"]
    lines = as_text(found)
    assert [line.split()[0] for line in lines] == ["network", "nearest", "nearest"]
    assert f"{published.forward_flops / 1e9:.3g} GFLOP" in lines[0]


def test_the_nearest_is_that_of_the_smallest_ratio():
    assert nearest(1e12, UNETS).name == "ADM-U 64 to 256"
    assert nearest(3.3e11, UNETS).name == "ADM 64 x 64"  # the difference to the next is smaller, its ratio is not


def test_what_cannot_be_counted_is_told_in_one_line(tmp_path):
    found = work(config_of(tmp_path, "network=dit", "network.width=31"))
    assert found is not None
    (line,) = as_text(found)
    assert line.startswith("network   not counted: ")
    assert "network.width=31" in line


def test_a_run_without_a_network_has_nothing_to_tell(tmp_path):
    file = config_of(tmp_path)
    config = OmegaConf.load(file)
    OmegaConf.update(config, "network", None)
    file.write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    assert work(file) is None
    assert as_text(None) == []
