"""A classifier trains, is averaged and is judged alike on one process, and on two that share the work in different ways."""

import pytest
import torch
from two_processes import rows_of, run_in, torchrun

from running import saved_state, train_small

CLASSIFIER = (
    "data=digits_nine_tenths",
    "held_out=digits",
    "module=classifier",
    "network=encoder",
    "network.attention.heads.channels=16",
    "network.pooling.heads.channels=16",
    "objective=noisy_classification",
    "evaluation=held_out_accuracy",
    # a bias before a norm of one channel per group has no gradient but rounding, whose sign Adam would otherwise follow with full steps
    "optimizer.eps=1.0e-5",
    "trainer.max_steps=6",
    "trainer.log_every_n_steps=1",
    "eval.every=6",
)


@pytest.mark.slow
def test_two_processes_train_the_classifier_of_one(tmp_path):
    one = train_small(tmp_path / "one", *CLASSIFIER).run
    strategies = {"ddp": ["data.micro_batch=8"], "fsdp": []}
    plan = [
        ["train", [*CLASSIFIER, f"run.root={tmp_path / name}", f"strategy={name}", *more]]
        for name, more in strategies.items()
    ]
    torchrun(tmp_path, plan)
    for name in strategies:
        other = run_in(tmp_path / name)
        assert other.path.name == one.path.name
        for a, b in zip(rows_of(one), rows_of(other), strict=True):
            assert a == pytest.approx(b, rel=1e-4)
        mine, theirs = saved_state(one), saved_state(other)
        torch.testing.assert_close(mine["state_dict"], theirs["state_dict"], rtol=1e-3, atol=2e-5)
        shadows = [state["callbacks"]["EMACallback"]["shadows"]["warm_up"] for state in (mine, theirs)]
        torch.testing.assert_close(*shadows, rtol=1e-3, atol=2e-5)
