"""A first step that is raised above the schedule's end is said: numbers of difflab before it was lack the field."""

import json
from pathlib import Path

import pytest

from difflab.cli.evaluate import evaluate
from difflab.cli.train import train
from difflab.metrics import Protocol, ProtocolMismatch, check_comparable
from difflab.samplers import DDIM, Heun
from difflab.samplers.grids import KarrasGrid, UniformGrid
from difflab.sampling.job import sampler_fields
from difflab.schedules import EDM, linear
from running import composed

NODE = {"s_churn": 40.0}


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [
        (Heun(KarrasGrid(18)), EDM()),
        (Heun(KarrasGrid(18), s_churn=40.0, s_max=50.0), EDM()),
        (Heun(KarrasGrid(18), s_churn=40.0), EDM(sigma_max=120.0)),
        (Heun(KarrasGrid(18, 0.1), s_churn=40.0), linear(1000)),
        (DDIM(UniformGrid(10)), EDM()),
    ],
    ids=["no churn", "EDM's own S_max", "a schedule that goes further", "a table", "DDIM"],
)
def test_protocols_stay_what_they_were(sampler, schedule):
    assert sampler_fields(NODE, sampler, schedule) == {"sampler": NODE}


def test_the_level_of_a_step_that_was_cut_before_is_said():
    (fields,) = sampler_fields(NODE, Heun(KarrasGrid(18), s_churn=40.0), EDM()).values()
    assert fields == {"s_churn": 40.0, "raised_to": 113.137}
    with pytest.raises(ProtocolMismatch, match="raised_to"):
        check_comparable(Protocol.of({"sampler": NODE}), Protocol.of({"sampler": fields}))


def test_runs_and_evaluations_say_it_alike(tmp_path, capsys):
    words = ("+experiment=edm/cifar10/e_loss", "+shrink=tiny", "sampler.s_churn=40")
    train(composed("train", *words, f"run.root={tmp_path / 'runs'}"))
    run = Path(capsys.readouterr().out.splitlines()[-1])
    of_run = json.loads((run / "protocol.json").read_text(encoding="utf-8"))
    assert '"sampler.raised_to": 113.137' in json.dumps(of_run)
    evaluate(
        composed(
            "evaluate", f"checkpoint={run}", "num_samples=16", "replicates=0", "metric=[frechet]", f"out={tmp_path}"
        )
    )
    (measured,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["measurements"]
    assert measured["protocol"]["sampler.raised_to"] == 113.137
