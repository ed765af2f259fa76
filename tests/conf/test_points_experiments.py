"""The smallest smoke run of every method: points of the plane, learnt in seconds to the distance of two halves of the data."""

import pytest
import torch
from hydra.utils import instantiate
from rows import POINTS, header

import running
from difflab.config.sweep_rows import Ended
from difflab.evaluation import FeatureReference
from difflab.features import FeatureSet, ValuesExtractor
from difflab.metrics import SlicedWasserstein
from difflab.runs import RunDirectory

FLOOR = 3
"""Times the distance of two halves of the data."""


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    extractor = ValuesExtractor()
    samples, reference = (FeatureSet.of(extractor.identity, extractor(z)) for z in (x, y))
    return SlicedWasserstein().measure(samples, FeatureReference(reference))["sw_values"]


@pytest.mark.parametrize("name", POINTS)
def test_it_says_what_it_is_and_takes_a_step(name, tmp_path):
    package, description, *rest = header(name)
    assert package == "# @package _global_"
    assert 10 < len(description) < 90
    assert any(f"python train.py +experiment={name}" in line for line in rest)
    short = ("trainer.max_steps=2", "eval.every=2", "eval.num_samples=50", "eval.batch_size=50", "eval.grid=50")
    run = trained(tmp_path, f"+experiment={name}", *short)
    names = {path.name.rpartition("_")[0] for path in run.samples.glob("*_00000002.png")}
    assert names == {"clouds", "warm_up", "trajectory"}


def test_images_are_no_cloud_and_nothing_is_begun(tmp_path, capsys):
    with pytest.raises(Ended):
        trained(tmp_path, "+experiment=cosine_adagn", "callbacks=[clouds]")
    assert "draws points of the plane, and this model is of (1, 8, 8): choose callbacks=none" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/*/provenance.json"))


def trained(root, *words) -> RunDirectory:
    from difflab.cli.train import train

    train(running.composed("train", *words, "logger=none", "trainer.accelerator=cpu", f"run.root={root}"))
    (config,) = root.glob("**/seed*/config.yaml")
    return RunDirectory(config.parent)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("data=moons", "embedder=[label]"), ("data=checkerboard",)])
def test_samples_are_as_far_from_the_data_as_its_halves_are(words, tmp_path):
    run = trained(tmp_path, "+experiment=swiss_roll", *words)
    data = instantiate(running.composed("train", "+experiment=swiss_roll", *words).data, _convert_="all").dataset
    points = data.images(range(len(data)))
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    halves = distance(points[order[::2]], points[order[1::2]])
    assert run.last_scores()["eval/warm_up/sw_values@5k"] < FLOOR * halves
