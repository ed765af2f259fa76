"""What two processes train and draw together is what one does."""

import numpy as np
import pytest
from two_processes import rows_of, run_in, torchrun

from methods import METHODS, SHORT, TEACHER, trained
from running import sample_from

SHARED = ("dit", "song", "ncsn", "ncsnv2", "learned_betas", "monotone_log_snr", "reflow", "binomial_bound")
SAMPLERS = {
    "unipc": ["sampler=unipc", "steps=4"],
    "adaptive": ["sampler=dpm_solver_adaptive"],
    "probability_flow": ["sampler=probability_flow", "sampler.tolerance=0.1"],
    "predictor_corrector": ["sampler=predictor_corrector", "steps=3"],
    "stochastic_heun": ["sampler=stochastic_heun", "steps=3"],
}


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """Losses, gradient norms and scores of every step to 1e-4, for the rounding of sums of two; without dropout, which draws otherwise."""
    teacher = trained(tmp_path / "teacher", *TEACHER)
    words = {name: list(METHODS[name]) for name in SHARED}
    words["song"] += ["network.dropout=0"]
    words["reflow"] += [f"objective.teacher.checkpoint={teacher.path}"]
    ways = {name: (name, "ddp") for name in SHARED} | {"divided": ("dit_in_context", "fsdp")}
    words["dit_in_context"] = list(METHODS["dit_in_context"])
    plan = []
    for place, (name, strategy) in ways.items():
        two = ["trainer.devices=2", f"strategy={strategy}", "run.name=run", f"run.root={tmp_path / place}"]
        plan.append(["train as said", [*words[name], *SHORT, *two]])
    torchrun(tmp_path, plan, timeout=900)
    for place, (name, _) in ways.items():
        one = trained(tmp_path / f"{place} alone", *words[name])
        for a, b in zip(rows_of(one), rows_of(run_in(tmp_path / place)), strict=True):
            assert a == pytest.approx(b, rel=1e-4), (place, a["step"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_set_that_was_stopped_or_drawn_in_other_batches_is_the_same(tmp_path, name, teacher_of_flows):
    words = [*SAMPLERS[name], "num_samples=6", "format=npz", "batch_size=2"]
    sample_from(teacher_of_flows.path, tmp_path / "whole", *words)
    sample_from(teacher_of_flows.path, tmp_path / "grown", *words, "num_samples=2", "keep_shards=true")
    sample_from(teacher_of_flows.path, tmp_path / "grown", *words)
    (whole,), (grown,) = ((tmp_path / set_).glob("*_6x8x8x1.npz") for set_ in ("whole", "grown"))
    for part in ("arr_0", "arr_1"):
        assert np.array_equal(np.load(whole)[part], np.load(grown)[part])


@pytest.fixture(scope="module")
def teacher_of_flows(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("flow"), *TEACHER)
