"""Weights of the model outside of its network are trained, averaged and saved under every strategy as on one process."""

import pytest
import torch
from two_processes import GATHER_ALL, HAS_DEEPSPEED, rewound, rows_of, run_in, torchrun

from difflab.layout import check_no_scalars
from learned import CHOSEN, LearnedSchedule
from running import differences, saved_state, train_small

pytestmark = pytest.mark.long

RUN = (
    *CHOSEN,
    "trainer.max_steps=6",
    "trainer.log_every_n_steps=1",
    "trainer.gradient_clip_val=0.3",
    "optimizer.lr=0.01",
    "optimizer.eps=1.0e-5",  # a weight without a gradient would otherwise follow the signs of rounding
    "eval.every=6",
    "eval.num_samples=10",
    "checkpoint.every=2",
    "checkpoint.keep_last=9",
)
FSDP = {"fsdp": ["strategy=fsdp", "data.micro_batch=8"]}
ZERO = {
    "deepspeed_2": ["strategy=deepspeed_2", "data.micro_batch=8"],
    "deepspeed_3": ["strategy=deepspeed_3", GATHER_ALL],
}
OUTSIDE = {"schedule.ends", "schedule.bend", "objective.u"}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("one"), *RUN).run


def assert_same(one, other) -> None:
    assert one.path.name == other.path.name
    for a, b in zip(rows_of(one), rows_of(other), strict=True):
        assert a == pytest.approx(b, rel=1e-4), a["step"]
    mine, theirs = saved_state(one), saved_state(other)
    torch.testing.assert_close(mine["state_dict"], theirs["state_dict"], rtol=1e-3, atol=2e-5)
    shadows = [state["callbacks"]["EMACallback"]["shadows"] for state in (mine, theirs)]
    torch.testing.assert_close(*shadows, rtol=1e-3, atol=2e-5)
    (a,), (b,) = mine["optimizer_states"], theirs["optimizer_states"]
    assert a["param_groups"] == b["param_groups"]
    torch.testing.assert_close(a["state"], b["state"], rtol=1e-3, atol=1e-6)


def shared(tmp_path, ways, *, continued: bool) -> None:
    """Two processes train from the beginning; or once more after the second checkpoint."""
    plan = []
    for name, overrides in ways.items():
        command = ["train", [*RUN, f"run.root={tmp_path / name}", *overrides]]
        plan += [command, ["rewind", str(tmp_path / name), 4], command] if continued else [command]
    torchrun(tmp_path, plan)


def test_they_move_and_are_averaged(one):
    state = saved_state(one)
    averaged = state["callbacks"]["EMACallback"]["shadows"]["warm_up"]
    assert averaged.keys() >= OUTSIDE
    begun = torch.load(one.checkpoints / "step-00000002.ckpt", weights_only=True)
    for name in OUTSIDE:
        weight = state["state_dict"][f"denoiser.{name}"]
        assert not torch.equal(weight, begun["state_dict"][f"denoiser.{name}"]), name
        assert not torch.equal(weight, averaged[name]), name


def test_going_on_is_exact(one, tmp_path):
    rewound(one.path.parents[1], tmp_path / "again", 2)
    again = saved_state(train_small(tmp_path / "again", *RUN).run)
    for part in ("state_dict", "callbacks", "optimizer_states"):
        assert differences(saved_state(one)[part], again[part]) == []


def test_fsdp_is_one_process(one, tmp_path):
    shared(tmp_path, FSDP, continued=False)
    assert_same(one, run_in(tmp_path / "fsdp"))


@pytest.mark.slow
def test_fsdp_goes_on_and_so_does_one_process_after_it(one, tmp_path):
    shared(tmp_path, FSDP, continued=True)
    assert_same(one, run_in(tmp_path / "fsdp"))
    rewound(tmp_path / "fsdp", tmp_path / "alone", 4)
    assert_same(one, train_small(tmp_path / "alone", *RUN).run)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DEEPSPEED, reason='DeepSpeed is not installed: pip install "difflab[deepspeed]"')
@pytest.mark.parametrize("name", ["deepspeed_2", "deepspeed_3"])
def test_zero_is_one_process(tmp_path, name):
    """DeepSpeed knows no weights that are scalars."""
    vectors = ["+schedule.shape=[1]", "+objective.shape=[1]"]
    one = train_small(tmp_path / "one", *RUN, *vectors).run
    shared(tmp_path, {name: [*ZERO[name], *vectors]}, continued=True)
    assert_same(one, run_in(tmp_path / name))


def test_deepspeed_refuses_scalars():
    learned = LearnedSchedule(20)
    with pytest.raises(
        ValueError, match=r"DeepSpeed cannot divide weights that are scalars: bend\. Give them the shape \[1\]"
    ):
        check_no_scalars(learned)
    check_no_scalars(LearnedSchedule(20, shape=[1]))
