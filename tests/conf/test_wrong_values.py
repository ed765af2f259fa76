"""A wrong value is one line with the key as it is typed, what it must be and a status of 2, before anything is built or written."""

import re
from functools import cache
from typing import Annotated, TypedDict

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import running
from difflab.cli.train import train
from difflab.config.arguments import check_arguments
from difflab.config.keys import ConfigError, check_keys, check_nothing_missing, compose_or_explain
from difflab.config.training import check_place
from difflab.config.unchosen import drop_unchosen
from difflab.config.values import Fraction, Limits, Matching, Positive, RunValues, Seeds, Word, check_values
from one_pass import each

Bounds = TypedDict(
    "Bounds", {"a.b": Positive | None, "c": Limits, "d": Annotated[Word, Matching("a colour", "red|blue")]}
)


@each(
    ("value", "told"),
    [
        ({"a": {"b": 0}}, r"^a\.b=0 must be a whole number, at least 1, or null$"),
        ({"a": {"b": True}}, r"^a\.b=true must be"),
        ({"a": {"b": 2.5}}, r"^a\.b=2\.5 must be"),
        ({"c": [1, 0]}, r"^c=\[1, 0\] must be two numbers, as \[-1,1\]$"),
        ({"c": [1]}, r"two numbers"),
        ({"c": [0, float("inf")]}, r"two numbers"),
        ({"d": "green"}, r"^d=green must be a colour$"),
        ({"d": None}, r"^d=null must be a colour$"),
    ],
)
def test_a_value_of_another_kind_than_an_annotation_says(value, told):
    with pytest.raises(ConfigError, match=told):
        check_values(OmegaConf.create(value), Bounds)
    check_values(OmegaConf.create({"a": {"b": None}, "c": [-1, 1.5], "d": "red", "e": "not asked for"}), Bounds)


class _Part:
    """A part whose constructor says more of a value than its type."""

    def __init__(self, share: Fraction):
        self.share = share


def test_a_constructor_may_say_more_than_a_type():
    node = {"_target_": f"{__name__}._Part", "share": 2}
    with pytest.raises(ConfigError, match=r"^part\.share=2 must be a number, at least 0 and at most 1$"):
        check_arguments(OmegaConf.create({"part": node}))
    check_arguments(OmegaConf.create({"part": node | {"share": 1}}))


CHOICES = ("+experiment=cosine_adagn", "guidance=[classifier_free,clip]", "strategy=deepspeed_2", "launcher=slurm")
SCHEDULED = (*CHOICES, "lr_schedule=warm_up", "sampler=heun", "ema=[warm_up,half_life]")


@cache
def _composed(choices):
    return running.composed("train", *choices)


def _checked(*words, choices=CHOICES):
    """The checks of train.py that come before anything is built, with these values."""
    config, base = OmegaConf.create(OmegaConf.to_container(_composed(choices))), _composed(())
    for override in OverridesParser.create().parse_overrides(list(words)):
        OmegaConf.update(config, override.key_or_group, override.value(), merge=False)
    drop_unchosen(config)
    check_keys(config, base)
    check_nothing_missing(config)
    check_values(config, Seeds, RunValues)
    check_arguments(config)


def _refused(word, told, **more):
    with pytest.raises(ConfigError) as caught:
        _checked(word, **more)
    message = str(caught.value)
    assert re.search(told, message), message
    assert "\n" not in message
    return message


@each("choices", [(), CHOICES, SCHEDULED])
def test_right_values_pass(choices):
    _checked("run.name=2024", "trainer.devices=auto", "trainer.gradient_clip_val=1", choices=choices)
    _checked("sampler.grid.steps=ddim25")
    _checked("guidance.classifier_free.scale={label: 3}", "guidance.classifier_free.negative={label: 1}")


@each(
    ("value", "is_number", "key"),
    [
        (value, is_number, key)
        for value, is_number in [
            *((text, False) for text in ("fast", "nan", "null", "[1,2]", "{a: 1}", "true", "'1e-4'", "[]")),
            *((text, True) for text in ("1e-4", "1", "0.5")),
        ]
        for key in ["optimizer.lr", "objective.vlb_weight", "guidance.classifier_free.scale", "ema.warm_up.decay"]
        if (key, value) != ("guidance.classifier_free.scale", "{a: 1}")  # a scale for each part of the condition
    ],
)
def test_a_number_is_a_number_for_every_part(key, value, is_number):
    if is_number:
        _checked(f"{key}={value}")
    else:
        _refused(f"{key}={value}", f"^{re.escape(key)}=.* must be a number")


@each(
    ("word", "told"),
    [
        ("network.width=big", r"^network\.width=big must be a whole number"),
        ("network.width=32.5", r"must be a whole number"),
        ("network.width=[32]", r"must be a whole number"),
        ("network.channel_mult=2", r"^network\.channel_mult=2 must be a list of numbers"),
        ("network.channel_mult=[1,a]", r"^network\.channel_mult=\[1, \"a\"\] must be a list of numbers"),
        ("network.attention_resolutions=8", r"a list of whole numbers"),
        ("network.attention.heads.count=x", r"^network\.attention\.heads\.count=x must be a whole number"),
        ("network.norm=groupnorm", r"network/norm=adagn\|addgn"),
        ("network.gradient_checkpointing=maybe", r"must be true or false"),
        ("network.width='${optimizer.lr}'", r"^network\.width=0\.001 must be a whole number|^optimizer\.lr=0\.001"),
        ("network.width='${nowhere.at.all}'", r"^network\.width=\${nowhere\.at\.all}: .*not found"),
        ("optimizer.betas=[0.9]", r"^optimizer\.betas=\[0\.9\] must be a list of 2 numbers"),
        ("optimizer.betas=0.9", r"a list of 2 numbers"),
        ("schedule.steps=x", r"^schedule\.steps=x must be a whole number"),
        ("schedule=cosine", r"schedule=cosine stands where a part must be: choose one by schedule="),
        ("sampler.grid.steps=2.5", r"^sampler\.grid\.steps=2\.5 must be a whole number or a text"),
        ("sampler.grid.steps=null", r"^sampler\.grid\.steps=null must be"),
        ("data.batch_size=many", r"^data\.batch_size=many must be a whole number"),
        ("data.num_workers=-1", r"^data\.num_workers=-1 must be a whole number, at least 0"),
        ("data.image_size=x", r"^data\.image_size=x must be a whole number"),
        ("eval.tracks=online", r"^eval\.tracks=online must be a list of texts"),
        ("eval.num_samples=0", r"at least 1"),
        ("eval.grid=-1", r"at least 1"),
        ("checkpoint.every=abc", r"^checkpoint\.every=abc must be a whole number, at least 1"),
        ("checkpoint.keep_last=-1", r"at least 1"),
        ("checkpoint.milestone=x", r"at least 0"),
        ("ema_snapshots.every=-1", r"at least 0"),
        ("condition_dropout=1.5", r"at least 0 and at most 1"),
        ("condition_dropout=nan", r"^condition_dropout=nan must be a number"),
        ("seed=abc", r"^seed=abc must be a whole number"),
        ("trainer.precision=16-true", r"^trainer\.precision=16-true must be 32-true, bf16-mixed or 16-mixed"),
        ("trainer.precision=nonsense", r"32-true"),
        ("trainer.devices=1.5", r"^trainer\.devices=1\.5 must be"),
        ("trainer.gradient_clip_val=-1", r"^trainer\.gradient_clip_val=-1"),
        ("trainer.log_every_n_steps=0", r"at least 1"),
        ("trainer.max_steps=many", r"at least 1"),
        ("run.name=", r"^run\.name= must be a name"),
        ("run.root=null", r"^run\.root=null must be a folder"),
        ("run.restart=maybe", r"true or false"),
        ("run.margin=x", r"^run\.margin=x"),
        ("logger.wandb.project=[a]", r"^logger\.wandb\.project=\[\"a\"\] must be a text"),
        ("logger.mine=3", r"^logger\.mine=3 stands where a part must be"),
        ("logger.mine={_target_: nowhere.X}", r"^logger\.mine\._target_: there is no nowhere\.X"),
        ("logger.mine={_target_: logging.FileHandler}", r"^logger\.mine \(FileHandler\) needs filename"),
        ("callbacks.mine=3", r"^callbacks\.mine=3 stands where a part must be"),
        ("callbacks.mine={_target_: nowhere.X}", r"^callbacks\.mine\._target_: there is no nowhere\.X"),
        ("strategy.timeout=x", r"^strategy\.timeout=x must be a number"),
        ("launcher.options=x", r"^launcher\.options=x must be a list of texts"),
        ("launcher.dry_run=perhaps", r"true or false"),
        ("network._target_=difflab.networks.unet", r"is a module, and makes nothing"),
        ("network._target_=difflab.networks.Encoder", r"unknown key|needs pooling"),
        ("parameterization._target_=difflab.variances.FixedSmall", r"makes a FixedSmall, where Parameterization is needed"),
    ],
)  # fmt: skip
def test_a_wrong_value(word, told):
    _refused(word, told)


@each(
    ("word", "told"),
    [
        ("lr_schedule.total_iters=abc", r"^lr_schedule\.total_iters=abc must be a whole number"),
        ("sampler.s_churn=nan", r"^sampler\.s_churn=nan must be a number"),
        ("ema.half_life.half_life=long", r"^ema\.half_life\.half_life=long must be a number"),
    ],
)
def test_a_wrong_value_of_other_choices(word, told):
    _refused(word, told, choices=SCHEDULED)


@each(
    ("words", "told"),
    [
        (["strategy=null"], r"^strategy=null must name a choice: auto, ddp"),
        (["schedule=null"], r"^schedule=null must name a choice: \+schedule=list names them"),
        (["parameterization=null"], r"^parameterization=null must name a choice: .*velocity"),
        (["ema=0.999"], r"^ema=0\.999 must name a choice: constant, .*ema=none for none"),
        (["guidance=[0.5]"], r"must name a choice"),
        (["optimizer={lr: 1}"], r"must name a choice: adam, adamw"),
        (["metric=[]"], r"^metric=\[\]: training is scored by its extractor"),
        (["schedule=[cosine,linear]"], r"only one can be chosen, as schedule=cosine"),
        (["+experiment=[cosine_adagn,linear_adagn]"], r"only one can be chosen"),
        (["+experiment=cosine_adgn"], r"did you mean 'cosine_addgn'"),
        ([f"+experiment={'x' * 300}"], r"^experiment=x{80}: no such choice"),
        (["network/nrom=adagn"], r"unknown group 'network/nrom': did you mean 'network/norm'"),
        (["~nothing"], r"unknown key 'nothing'"),
        (["network.width=${unbalanced"], r"cannot be read"),
        (["network.channel_mult=[1,2"], r"cannot be read"),
        (["run.name=\"abc"], r"cannot be read"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("composed")
def test_a_wrong_choice(words, told):
    with pytest.raises(ConfigError, match=told) as caught:
        compose_or_explain("train", words)
    assert "\n" not in str(caught.value)


@each(
    ("word", "told"),
    [
        ("~seed", r"^seed is needed: leave ~seed out"),
        ("~run.name", r"^run\.name is needed: leave ~run\.name out"),
        ("~trainer.max_steps", r"^trainer\.max_steps is needed"),
        ("~data.batch_size", r"^data\.batch_size is needed"),
        ("~sampler", r"^sampler has lost its _target_.*: choose one by sampler=.*\|ddim\|"),
        ("~optimizer._target_", r"^optimizer has lost its _target_.*: choose one by optimizer=adam"),
    ],
)
def test_what_is_needed_cannot_be_deleted(word, told):
    base = _composed(())
    with pytest.raises(ConfigError, match=told):
        check_keys(running.composed("train", "+experiment=cosine_adagn", word), base)


def test_group_in_brackets_is_none_of_them():
    for group in ("embedder", "ema", "guidance", "logger", "callbacks", "conditioning"):
        assert running.composed("train", f"{group}=[]")[group] == {}


def test_keys_of_an_experiment_that_an_exchanged_part_has_not():
    base = _composed(())
    config = running.composed("train", "+experiment=cosine_adagn", "network=encoder")
    config.network = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1, "depth": 2}
    with pytest.raises(
        ConfigError, match=r"network\.depth.*\(experiment=cosine_adagn sets .*: ~network\.\S+ .*leaves them out"
    ):
        check_keys(config, base)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/dev/null/x", "Not a directory"),
        ("/dev/null", "is a file"),
        ("a\nb", "line break"),
        ("a\0b", "control character"),
        ("runs/" + 300 * "n", "longer than the 255 bytes"),
        ("ü" * 150, "longer than the 255 bytes"),
        ("runs" + 1000 * "/name", "the path is longer than the 4096 bytes"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_cannot_be_made(path, told, there, tmp_path, monkeypatch):
    """Whether there are runs already or not: the system says of a long name in a folder that there is none what it says of any."""
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "runs").mkdir()
    with pytest.raises(ConfigError, match=told) as caught:
        check_place("run.root=...", path)
    assert "\n" not in str(caught.value)


BUILT = (
    *("+experiment=cosine_adagn", "network.width=32", "trainer.max_steps=6", "eval.every=6", "eval.num_samples=16"),
    *("sampler.grid.steps=4", "data.batch_size=16", "checkpoint.every=3", "trainer.accelerator=cpu"),
)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["optimizer.lr=-1"], r"optimizer: Invalid learning rate: -1"),
        (["optimizer.lr=inf"], r"optimizer\.lr=inf must be a finite number"),
        (["optimizer.betas=[2,0]"], r"optimizer: Invalid beta parameter"),
        (["lr_schedule=warm_up", "lr_schedule.start_factor=7"], r"lr_schedule: Starting multiplicative factor"),
        (["network.width=33"], r"^error: network: 4 attention heads do not divide"),
        (["network.width=-32"], r"^error: network: width=-32: a network needs at least one channel"),
        (["sampler=euler", "sampler/grid=uniform", "schedule=zero_terminal_snr", "parameterization=velocity"], r"leaves no signal"),
        (["objective=noisy_classification"], r"the objective NoisyClassification is for a NoisyClassifier"),
        (["objective.vlb_weight=-1"], r"^error: objective: vlb_weight = -1 must not be negative"),
        (["ema.warm_up.decay=1.5"], r"^error: ema\.warm_up: an EMA decay must be in \[0, 1\)"),
        (["trainer.accelerator=gpus"], r"accelerator='gpus'.*auto"),
        (["trainer.devices=many"], r"^error: trainer\.devices=many: a run needs a process"),
        (["+callbacks.timer={_target_: pytorch_lightning.callbacks.Timer, duration: x}"], r"callbacks\.timer: .*Timer"),
        (["strategy=deepspeed_2", "+strategy.zero.overlap_com=true"], r"strategy\.zero\.overlap_com: unknown key: did you mean"),
        (["run.root=/dev/null"], r"^error: run\.root=/dev/null"),
    ],
)  # fmt: skip
def test_what_a_part_refuses_is_said_before_a_run_begins(words, told, tmp_path, capsys):
    given = {word.partition("=")[0] for word in words}
    config = running.composed(
        "train",
        *[word for word in BUILT if word.partition("=")[0] not in given],
        *([] if "run.root" in given else [f"run.root={tmp_path}/runs"]),
        *words,
    )
    with pytest.raises(SystemExit) as caught:
        train(config)
    assert caught.value.code == 2
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1, message
    assert re.search(told, message), message
    assert not (tmp_path / "runs").exists()
