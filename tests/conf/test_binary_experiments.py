"""Rows of bits: what they say and draw, and the floors of heartbeats."""

import json
import math

import pytest
from rows import BITS, header

import running
from difflab.runs import RunDirectory


def trained(root, *words) -> RunDirectory:
    from difflab.cli.train import train

    train(running.composed("train", *words, "logger=none", "trainer.accelerator=cpu", f"run.root={root}"))
    (config,) = root.glob("**/seed0-*/config.yaml")
    return RunDirectory(config.parent)


@pytest.mark.parametrize("name", [pytest.param(BITS[0], marks=pytest.mark.slow), *BITS[1:]])
def test_it_says_what_it_is_draws_bits_and_has_a_bound(name, tmp_path):
    package, description, *rest = header(name)
    assert package == "# @package _global_"
    assert 10 < len(description) < 90
    assert any(f"python train.py +experiment={name}" in line for line in rest)
    short = ("trainer.max_steps=2", "eval.every=2", "eval.num_samples=70", "eval.batch_size=70", "eval.grid=10")
    small = ("network.width=16", "sampler.grid.steps=3", "data.batch_size=8", "data.max_images=100")
    run = trained(tmp_path / "a run", f"+experiment={name}", *short, *small)
    found = evaluated(run, "num_samples=70", "bits_per_dim=4", "likelihood=bits_per_bit")
    assert 0.05 < found["bits_per_bit"]["value"] < 3
    values = sample_values(run)
    assert values == {0, 255}


def evaluated(run: RunDirectory, *words) -> dict:
    from difflab.cli.evaluate import evaluate

    evaluate(running.composed("evaluate", f"checkpoint={run.path}", "accelerator=cpu", *words))
    (path,) = run.path.glob("evaluations/*/results.json")
    return json.loads(path.read_text(encoding="utf-8"))["subject"]


def sample_values(run: RunDirectory) -> set[int]:
    from difflab.cli.sample import sample

    sample(
        running.composed(
            "sample", f"checkpoint={run.path}", "accelerator=cpu", "num_samples=9", f"out={run.path / 'drawn'}"
        )
    )
    import numpy as np

    (path,) = (run.path / "drawn").glob("*.npz")
    return set(np.unique(np.load(path)["arr_0"]).tolist())


@pytest.mark.slow
def test_heartbeats_cost_little_more_than_their_phase(tmp_path):
    """Sohl-Dickstein et al. 2015, section 3.1.2: nearly perfect; no model of five phases can have fewer than log2 5 bits."""
    run = trained(tmp_path, "+experiment=heartbeat")
    assert run.last_scores()["eval/warm_up/known_pixel_values@10k"] > 0.9
    found = evaluated(run, "num_samples=1000", "bits_per_dim=1000", "likelihood=bits_per_sequence")
    bits = found["bits_per_sequence"]["value"]
    assert math.log2(5) - 0.05 < bits < 2.6
