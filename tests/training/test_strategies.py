"""A run comes out the same under every strategy, and its checkpoints belong to none of them."""

import importlib.util
import json

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from two_processes import GATHER_ALL, HAS_DEEPSPEED, needs_deepspeed, rows_of, run_in, torchrun

from difflab.config.derived import divide
from difflab.data import DataError
from difflab.distributed.placement import started_shape
from difflab.distributed.world import process_count
from difflab.runs import RunDirectory
from difflab.sharding import check_no_scalars
from difflab.training.sharding import DDP, FSDP, Automatic, DeepSpeed, Single
from learned import CHOSEN, LearnedSchedule
from running import composed, differences, rewound, saved_state, train_small

pytestmark = pytest.mark.long

RUN = (
    "trainer.max_steps=8",
    "trainer.log_every_n_steps=1",
    "trainer.gradient_clip_val=0.3",
    "ema=[warm_up,half_life]",
    "eval.tracks=[warm_up,online]",
    "eval.every=8",
    "eval.num_samples=20",
    "eval.batch_size=5",
    "eval.grid=10",
    "checkpoint.every=2",
    "checkpoint.keep_last=9",
)
OVERRIDES = {
    "ddp": ["strategy=ddp", "data.micro_batch=8"],
    "fsdp": ["strategy=fsdp", "data.micro_batch=8"],
    "deepspeed_1": ["strategy=deepspeed_1"],
    "deepspeed_2": ["strategy=deepspeed_2", "data.micro_batch=8"],
    "deepspeed_3": ["strategy=deepspeed_3", "data.micro_batch=8", GATHER_ALL],
}
OFFLOAD = {
    "deepspeed_2_offload": ["strategy=deepspeed_2_offload", "data.micro_batch=8"],
    "deepspeed_3_offload": ["strategy=deepspeed_3_offload", "data.micro_batch=8", GATHER_ALL],
}
LEARNED = (
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
"""Weights of the model outside of its network: a schedule's and an objective's."""
SOME = (
    "trainable=[network.embedders.*,network.trunk.middle.*,network.conv_out.*]",
    "lr_scale={network.embedders.*: 10}",
    "lr_schedule=cosine_decay",
)
"""A part of the weights, at two rates."""
OUTSIDE = {"schedule.ends", "schedule.bend", "objective.u"}
INSTALLED = [name for name in OVERRIDES if HAS_DEEPSPEED or not name.startswith("deepspeed")]


SHARING_SOME = [name for name in ("ddp", "fsdp", "deepspeed_2") if name in INSTALLED]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Root of a run under each strategy, one process among them; of one that changed strategy twice; and of one with learned parts.

    Two processes do all of it, whose start takes as long as several runs.
    """
    folder = tmp_path_factory.mktemp("strategies")
    train_small(folder / "single", *RUN)
    rewound(folder / "single", folder / "changing", 2)
    plan = [["train", [*RUN, f"run.root={folder / name}", *OVERRIDES[name]]] for name in INSTALLED]
    plan.append(["layouts"])
    plan.append(["train", [*LEARNED, f"run.root={folder / 'learned_fsdp'}", *OVERRIDES["fsdp"]]])
    train_small(folder / "some", *RUN, *SOME)
    for name in SHARING_SOME:
        train = ["train", [*RUN, *SOME, f"run.root={folder / f'some_{name}'}", *OVERRIDES[name]]]
        plan += [train, ["rewind", str(folder / f"some_{name}"), 4], train]
    plan.append(["train", [*RUN, f"run.root={folder / 'changing'}", *OVERRIDES["fsdp"]]])
    plan.append(["rewind", str(folder / "changing"), 4])
    plan.append(["train", [*RUN, f"run.root={folder / 'changing'}", *OVERRIDES["fsdp"]]])
    if HAS_DEEPSPEED:
        plan.append(["rewind", str(folder / "changing"), 6])
        plan.append(["train", [*RUN, f"run.root={folder / 'changing'}", *OVERRIDES["deepspeed_3"]]])
    torchrun(folder, plan)
    return folder


def assert_same_run(one: RunDirectory, other: RunDirectory) -> None:
    assert one.path.name == other.path.name, "the identity of a run does not know the strategy"
    for a, b in zip(rows_of(one), rows_of(other), strict=True):
        assert a.keys() == b.keys()
        assert a == pytest.approx(b, rel=1e-5), a["step"]
    assert_same_state(saved_state(one), saved_state(other))
    exported = {path.name: load_file(path) for path in one.weights.iterdir()}
    assert (
        exported.keys()
        == {path.name for path in other.weights.iterdir()}
        == {
            "warm_up.safetensors",
            "half_life.safetensors",
            "online.safetensors",
        }
    )
    for name, weights in exported.items():
        torch.testing.assert_close(weights, load_file(other.weights / name), rtol=1e-3, atol=2e-5)


def assert_same_state(a: dict, b: dict) -> None:
    """Everything that Lightning saves, in the same form."""
    assert a.keys() == b.keys()
    # a weight whose gradient is zero but for rounding moves by the sign of the rounding: hence not 1e-5
    torch.testing.assert_close(a["state_dict"], b["state_dict"], rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(a["callbacks"]["EMACallback"], b["callbacks"]["EMACallback"], rtol=1e-3, atol=2e-5)
    for shadow in b["callbacks"]["EMACallback"]["shadows"].values():
        assert not any(value.requires_grad for value in shadow.values())
    (one,), (other,) = a["optimizer_states"], b["optimizer_states"]
    assert one["param_groups"] == other["param_groups"]
    torch.testing.assert_close(one["state"], other["state"], rtol=1e-3, atol=1e-6)
    assert a["lr_schedulers"] == b["lr_schedulers"]
    assert a["callbacks"]["Checkpoints"] == pytest.approx(b["callbacks"]["Checkpoints"])


@pytest.mark.parametrize("name", INSTALLED)
def test_two_processes_give_the_run_of_one(runs, name):
    """Losses, gradient norms and scores of every step to 1e-5; checkpoints of the same form; weights that others can use.

    With gradients clipped, and most with accumulation.
    """
    assert_same_run(run_in(runs / "single"), run_in(runs / name))


@pytest.mark.parametrize("name", SHARING_SOME)
def test_weights_of_which_some_learn_at_two_rates_do_so_under_every_strategy(runs, name):
    """Two processes train, and once more after a checkpoint."""
    assert_same_run(run_in(runs / "some"), run_in(runs / f"some_{name}"))


@needs_deepspeed
def test_zero_3_refuses_weights_that_do_not_learn(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_small(tmp_path, *RUN, *SOME, *OVERRIDES["deepspeed_3"][:1])
    assert "ZeRO-3 divides weights that do not learn" in capsys.readouterr().err


def test_gradients_were_clipped(runs):
    """Else the strategies would agree whatever they do about clipping."""
    assert min(row["train/gradient_norm"] for row in rows_of(run_in(runs / "single")) if "train/loss" in row) > 0.3


def test_a_run_may_change_its_strategy(runs):
    """Two steps on one process, two and two more under FSDP x 2, two under ZeRO-3 x 2."""
    run = run_in(runs / "changing")
    printed = json.loads((run.path / "complete.json").read_text(encoding="utf-8"))
    assert printed["step"] == 8
    assert_same_run(run_in(runs / "single"), run)


QUICK = ("fsdp", "deepspeed_3")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in INSTALLED])
def test_one_process_goes_on_where_two_stopped(runs, name, tmp_path):
    rewound(runs / name, tmp_path / "run", 6)
    outcome = train_small(tmp_path / "run", *RUN)
    assert any("resuming from step 6 " in line for line in outcome.printed)
    assert_same_run(run_in(runs / "single"), outcome.run)


@pytest.mark.slow
@needs_deepspeed
def test_every_strategy_goes_on_after_every_other(runs, tmp_path):
    ways = OVERRIDES | OFFLOAD
    sources = ["single", *OVERRIDES]
    plan = []
    for source in sources:
        for way, overrides in ways.items():
            root = tmp_path / source / way
            rewound(runs / source, root, 6)
            plan.append(["train", [*RUN, f"run.root={root}", *overrides]])
    torchrun(tmp_path, plan, timeout=1500)
    for source in sources:
        for way in ways:
            assert_same_run(run_in(runs / "single"), run_in(tmp_path / source / way))


@pytest.mark.slow
@needs_deepspeed
def test_offloading_changes_nothing(runs, tmp_path):
    torchrun(tmp_path, [["train", [*RUN, f"run.root={tmp_path / n}", *overrides]] for n, overrides in OFFLOAD.items()])
    for name in OFFLOAD:
        assert_same_run(run_in(runs / "single"), run_in(tmp_path / name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_torchrun_replaces_a_dead_process(runs, tmp_path, name):
    """The other one does not hang; both start again from the newest checkpoint."""
    plan = [["die", 1, 5], ["train", [*RUN, f"run.root={tmp_path / 'run'}", "run.restart=true", *OVERRIDES[name]]]]
    printed = torchrun(tmp_path, plan, "--max-restarts=1")
    assert "resuming from step 4 " in printed
    assert_same_run(run_in(runs / "single"), run_in(tmp_path / "run"))


@pytest.mark.slow
def test_bfloat16_is_the_same_under_all(runs, tmp_path):
    """To the precision of bfloat16: eight bits."""
    half = [*RUN, "trainer.precision=bf16-mixed"]
    one = train_small(tmp_path / "single", *half)
    torchrun(tmp_path, [["train", [*half, f"run.root={tmp_path / n}", *OVERRIDES[n]]] for n in INSTALLED])
    for name in INSTALLED:
        run = run_in(tmp_path / name)
        assert run.path.name == one.run.path.name
        for a, b in zip(rows_of(one.run), rows_of(run), strict=True):
            for key in ("train/loss", "train/gradient_norm"):
                assert a.get(key, 0) == pytest.approx(b.get(key, 0), rel=2e-2), (name, a["step"], key)
        assert {v.dtype for v in saved_state(run)["state_dict"].values() if v.is_floating_point()} <= {
            torch.float32,
            torch.float64,
        }


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("learned"), *LEARNED).run


def assert_same_weights(one, other) -> None:
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


def shared_twice(tmp_path, ways) -> None:
    """Two processes train, and once more after the second checkpoint."""
    plan = []
    for name, overrides in ways.items():
        command = ["train", [*LEARNED, f"run.root={tmp_path / name}", *overrides]]
        plan += [command, ["rewind", str(tmp_path / name), 4], command]
    torchrun(tmp_path, plan)


def test_learned_parts_move_and_are_averaged(learned):
    state = saved_state(learned)
    averaged = state["callbacks"]["EMACallback"]["shadows"]["warm_up"]
    assert averaged.keys() >= OUTSIDE
    begun = torch.load(learned.checkpoints / "step-00000002.ckpt", weights_only=True)
    for name in OUTSIDE:
        weight = state["state_dict"][f"denoiser.{name}"]
        assert not torch.equal(weight, begun["state_dict"][f"denoiser.{name}"]), name
        assert not torch.equal(weight, averaged[name]), name


def test_going_on_with_learned_parts_is_exact(learned, tmp_path):
    rewound(learned.path.parents[1], tmp_path / "again", 2)
    again = saved_state(train_small(tmp_path / "again", *LEARNED).run)
    for part in ("state_dict", "callbacks", "optimizer_states"):
        assert differences(saved_state(learned)[part], again[part]) == []


def test_learned_parts_under_fsdp_are_those_of_one_process(learned, runs):
    assert_same_weights(learned, run_in(runs / "learned_fsdp"))


@pytest.mark.slow
def test_learned_parts_go_on_under_fsdp_and_on_one_process_after_it(learned, tmp_path):
    shared_twice(tmp_path, {"fsdp": OVERRIDES["fsdp"]})
    assert_same_weights(learned, run_in(tmp_path / "fsdp"))
    rewound(tmp_path / "fsdp", tmp_path / "alone", 4)
    assert_same_weights(learned, train_small(tmp_path / "alone", *LEARNED).run)


@pytest.mark.slow
@needs_deepspeed
@pytest.mark.parametrize("name", ["deepspeed_2", "deepspeed_3"])
def test_learned_parts_under_zero_are_those_of_one_process(tmp_path, name):
    """DeepSpeed knows no weights that are scalars."""
    vectors = ["+schedule.shape=[1]", "+objective.shape=[1]"]
    one = train_small(tmp_path / "one", *LEARNED, *vectors).run
    overrides = [word for word in OVERRIDES[name] if name == "deepspeed_2" or not word.startswith("data.micro_batch")]
    shared_twice(tmp_path, {name: [*overrides, *vectors]})
    assert_same_weights(one, run_in(tmp_path / name))


def test_deepspeed_refuses_learned_scalars():
    with pytest.raises(
        ValueError, match=r"DeepSpeed cannot divide weights that are scalars: bend\. Give them the shape \[1\]"
    ):
        check_no_scalars(LearnedSchedule(20))
    check_no_scalars(LearnedSchedule(20, shape=[1]))


ADAM = torch.optim.AdamW


@pytest.mark.parametrize(
    ("make", "processes", "precision", "optimizer", "message"),
    [
        (Single, 2, "32-true", ADAM, "make 2: set strategy=ddp"),
        (FSDP, 2, "16-mixed", ADAM, "use 32-true or bf16-mixed"),
        (FSDP, 2, "bf16-true", ADAM, "strategy=fsdp keeps weights"),
        pytest.param(
            lambda: DeepSpeed({"stage": 2}), 2, "16-true", ADAM, "strategy=deepspeed_2 keeps", marks=needs_deepspeed
        ),
        pytest.param(
            lambda: DeepSpeed({"stage": 3}), 2, "32-true", torch.optim.Adafactor, "Adafactor", marks=needs_deepspeed
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(make, processes, precision, optimizer, message):
    with pytest.raises(ValueError, match=message):
        make().check(processes, precision, optimizer)


@needs_deepspeed
def test_an_optimizer_of_ones_own_says_that_it_may_see_flat_pieces():
    class Own(torch.optim.SGD):
        pass

    class Elementwise(Own):
        treats_elements_alike = True

    with pytest.raises(ValueError, match="treats_elements_alike = True"):
        DeepSpeed({"stage": 2}).check(2, "32-true", Own)
    DeepSpeed({"stage": 2}).check(2, "32-true", Elementwise)


@pytest.mark.parametrize("strategy", [Automatic(), DDP(), FSDP()])
def test_one_process_is_fine(strategy):
    strategy.check(1, "32-true", ADAM)


def test_a_missing_deepspeed_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .*\[deepspeed\]"):
        DeepSpeed({"stage": 2})


def test_zero_has_three_stages():
    with pytest.raises(ValueError, match="stage=4"):
        DeepSpeed({"stage": 4})


def division(processes: int, *overrides: str):
    config = composed("train", "+experiment=cosine_adagn", "trainer.accelerator=cpu", *overrides)
    divide(config, lambda here: processes, starts_other_nodes=False)
    OmegaConf.resolve(config)
    return config.trainer


def test_the_micro_batch_means_an_accumulation(monkeypatch):
    trainer = division(4, "data.batch_size=96", "data.micro_batch=8", "eval.every=10")
    assert (trainer.accumulate_grad_batches, trainer.val_check_interval) == (3, 30)
    with pytest.raises(DataError, match=r"data\.micro_batch=6 fits"):
        division(4, "data.batch_size=96", "data.micro_batch=7")
    with pytest.raises(DataError, match="multiple of 5"):
        division(5, "data.batch_size=96", "data.micro_batch=2")
    with pytest.raises(ValueError, match=r"leave trainer\.accumulate_grad_batches=2 out"):
        division(4, "data.batch_size=96", "data.micro_batch=8", "trainer.accumulate_grad_batches=2")


def test_torchrun_says_how_many_processes_there_are(monkeypatch):
    assert started_shape() is None
    for key, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(key, value)
    trainer = division(8)
    assert (trainer.devices, trainer.num_nodes) == (4, 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="every machine needs as many"):
        division(8)


@pytest.mark.parametrize(("devices", "count"), [(3, 6), ("2", 4), ("0,3,5", 6), ([1, 2], 4), ("auto", 2)])
def test_devices_as_lightning_takes_them(devices, count):
    assert process_count("cpu", devices, 2) == count
