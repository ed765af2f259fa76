"""Training from given weights: strict or by pattern, a part of the identity by their content."""

import shutil

import pytest
import torch
from torch import nn

from difflab.checkpoints.fitting import Source, put_into
from difflab.checkpoints.given import GivenWeights
from difflab.checkpoints.run_weights import run_weights
from difflab.config.keys import ConfigError
from difflab.config.words import as_meant, readable
from difflab.networks.layers import LabelEmbedding, NullableLabelEmbedding
from difflab.runs import info, read_metrics
from difflab.runs.info import as_text
from running import SHORT, differences, saved_state, train_small

FROZEN = (*SHORT, "optimizer.lr=0", "ema=[warm_up,half_life]")
"""So that what is there after training is what was there before it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("source"), *SHORT, "run.name=first").run


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as end:
        train_small(*arguments)
    assert end.value.code == 2
    *warnings, line = capsys.readouterr().err.strip().splitlines()
    assert all(one.startswith("warning: ") for one in warnings)
    return line


def test_a_run_starts_from_the_weights_of_another_and_goes_on_without_them(source, tmp_path, capsys):
    source = shutil.copytree(source.path, tmp_path / "first")
    given = f"init_from={source}"
    warm = train_small(tmp_path, *FROZEN, given)
    wanted = info(source)["weights_sha256"]["warm_up"]
    assert info(warm.run.path)["weights_sha256"] == dict.fromkeys(("warm_up", "half_life", "online"), wanted)
    (line,) = [line for line in warm.printed if line.startswith("starts from ")]
    assert f"{source} (warm_up, step 4)" in line
    assert f"init from {source} (warm_up, step 4)" in as_text(info(warm.run.path))
    # by content: from the exported file it is the same run, from other weights another one, said
    exported = train_small(tmp_path, *FROZEN, f"init_from={source}/weights/warm_up.safetensors")
    assert exported.run.path == warm.run.path
    assert "already complete" in exported.printed[0]
    seeded = train_small(tmp_path, *FROZEN)
    assert seeded.run.path != warm.run.path
    # the run is found without them, and another one cannot begin
    source.rename(tmp_path / "away")
    again = train_small(tmp_path, *FROZEN, given)
    assert again.run.path == warm.run.path
    assert f"{given}: there is no such file or directory" in refused(capsys, tmp_path, *FROZEN, given, "seed=1")
    shutil.copytree(seeded.run.path, source)
    changed = train_small(tmp_path, *FROZEN, given)
    assert f"{given} has other weights than when {warm.run.path} began with them: this is a new run" in changed.printed


def test_weights_that_do_not_fit_are_listed(source, tmp_path, capsys):
    said = refused(capsys, tmp_path, *SHORT, "network.width=8", f"init_from={source.path}")
    assert "does not fit this Denoiser" in said
    assert "have another shape" in said
    assert "init_from.skip" in said


def model() -> nn.Module:
    return nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 3)})


def test_patterns_choose_what_is_taken(tmp_path):
    there, here = model(), nn.ModuleDict({"trunk": nn.Linear(2, 2), "head": nn.Linear(2, 5)})
    torch.save({"state_dict": there.state_dict()}, tmp_path / "w.pt")
    head = here["head"].weight.clone()
    with pytest.raises(ConfigError, match=r"2 have another shape \(head.weight \(3, 2\), here \(5, 2\)"):
        GivenWeights(str(tmp_path / "w.pt")).put_into(here)
    with pytest.raises(ConfigError, match="no weight is called haed"):
        GivenWeights(str(tmp_path / "w.pt"), skip=["haed.*"]).put_into(here)
    fit = GivenWeights(str(tmp_path / "w.pt"), skip=["head.*"]).put_into(here)
    assert fit.told.endswith("w.pt, 2 of 4 tensors")
    assert list(fit.lines()) == ["  left out   2, as the seed draws them: head.weight, head.bias"]
    assert torch.equal(here["trunk"].weight, there["trunk"].weight)
    assert torch.equal(here["head"].weight, head)
    other = nn.ModuleDict({"trunk": nn.Linear(2, 2)})
    assert GivenWeights(str(tmp_path / "w.pt"), keys="trunk.*").put_into(other).told.endswith("2 of 2 tensors")
    renamed = nn.ModuleDict({"trunk": nn.Linear(2, 2), "heads": nn.Linear(2, 3)})
    with pytest.raises(ConfigError, match=r"heads\.weight; head\.weight is meant"):
        GivenWeights(str(tmp_path / "w.pt")).put_into(renamed)


def test_the_short_word_is_written_out():
    assert readable(["init_from=a/b"]) == ["init_from=weights", "init_from.checkpoint=a/b"]
    assert readable(["init_from=none", "init_from=weights"]) == ["init_from=none", "init_from=weights"]
    assert readable(["init_from=/w(1)/ä.pt"]) == ["init_from=weights", 'init_from.checkpoint="/w(1)/ä.pt"']
    assert readable(["init_from=a/b@500"]) == ["init_from=weights", "init_from.checkpoint=a/b@500"]
    assert as_meant("train", ["init_from.ema=online"]) == ["init_from.track=online"]


def table(kind, classes: int, value: float) -> nn.Module:
    made = kind(classes, 3)
    nn.init.constant_(made.weight, value)
    with torch.no_grad():
        made.weight += torch.arange(len(made.weight))[:, None]
    return nn.ModuleDict({"label": made, "trunk": nn.Linear(2, 2)})


@pytest.mark.parametrize(
    ("there", "here", "rows"),
    [
        ((LabelEmbedding, 5), (LabelEmbedding, 3), [100, 101, 102]),
        ((LabelEmbedding, 2), (LabelEmbedding, 3), [100, 101, 2]),
        ((NullableLabelEmbedding, 5), (NullableLabelEmbedding, 3), [100, 101, 102, 105]),
        ((NullableLabelEmbedding, 2), (NullableLabelEmbedding, 3), [100, 101, 2, 102]),
        ((LabelEmbedding, 3), (NullableLabelEmbedding, 3), [100, 101, 102, 3]),
        ((NullableLabelEmbedding, 3), (LabelEmbedding, 3), [100, 101, 102]),
        ((LabelEmbedding, 4), (NullableLabelEmbedding, 3), [100, 101, 102, 3]),
        ((NullableLabelEmbedding, 3), (NullableLabelEmbedding, 3), [100, 101, 102, 103]),
    ],
)
def test_the_rows_of_classes_that_both_have_are_taken(there, here, rows):
    """100, 101 ... are the given table's rows, 0, 1 ... the own ones; the last row of a nullable table is that of no class."""
    given, own = table(*there, 100), table(*here, 0)
    fit = put_into(own, Source(given.state_dict(), "given", classes=there[1]), "given", ["*"], [])
    assert own["label"].weight[:, 0].tolist() == rows
    assert fit.told == "given, 3 of 3 tensors"
    shapes = (tuple(given["label"].weight.shape), tuple(own["label"].weight.shape))
    lines = [
        f"  resized    1, the rows of classes that both have were taken: label.weight {shapes[0]}, here {shapes[1]}"
    ]
    assert list(fit.lines()) == (lines if shapes[0] != shapes[1] else [])


def test_what_is_left_out_is_named_by_kind():
    own = nn.ModuleDict({"trunk": nn.Linear(2, 2), "new": nn.Linear(1, 1)})
    source = Source(nn.ModuleDict({"trunk": nn.Linear(2, 2), "old": nn.Linear(1, 1)}).state_dict(), "given")
    fit = put_into(own, source, "given", ["trunk.*"], ["trunk.bias"])
    assert list(fit.lines()) == [
        "  missing    2, as the seed draws them: new.weight, new.bias",
        "  unexpected 2, not used: old.weight, old.bias",
        "  left out   1, as the seed draws them: trunk.bias",
    ]


def test_fewer_classes_and_a_checkpoint_by_its_step(source, tmp_path, capsys):
    few = (*FROZEN, "data.num_classes=10", "embedder=[label]", f"init_from={source.path}@2", "init_from.track=online")
    warm = train_small(tmp_path, *few)
    (line,) = [line for line in warm.printed if line.startswith("starts from ")]
    assert f"{source.path} (online, step 2)" in line
    saved = torch.load(source.checkpoints / "step-00000002.ckpt", weights_only=True)["state_dict"]
    mine = saved_state(warm.run)["state_dict"]
    assert all(torch.equal(mine[name], saved[name]) for name in mine)
    said = refused(capsys, tmp_path, *FROZEN, f"init_from={source.path}@3")
    assert "@3: there is no such checkpoint; " in said
    assert "2" in said
    assert run_weights(f"{source.path}@last", None, None).step == 4
    assert run_weights(f"{source.path}@best", "online", None).track == "online"


STATE = (*SHORT, "optimizer.lr=0.003", "lr_schedule=cosine_decay", "ema=[warm_up,half_life]", "run.name=trunk")


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("trunk"), *STATE, "checkpoint.every=1", "checkpoint.keep_last=9").run


def test_a_state_with_nothing_changed_is_the_run_without_interruption(trunk, tmp_path):
    """To the bit: weights, averages, moments, rates, counts."""
    fork = train_small(tmp_path, *STATE, f"init_from={trunk.path}@2", "init_from.state=true")
    assert any(f"goes on from the state of {trunk.path} at step 2" in line for line in fork.printed)
    assert any("resuming from step 2" in line for line in fork.printed)
    assert fork.run.path.name != trunk.path.name
    mine, theirs = saved_state(fork.run), saved_state(trunk)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "loops", "global_step"):
        assert differences(mine[part], theirs[part]) == [], part
    for name in ("EMACallback", "ObjectiveCallback"):
        assert differences(mine["callbacks"][name], theirs["callbacks"][name]) == []
    own = [row for row in read_metrics(fork.run.metrics) if "train/loss" in row]
    assert [row["train/loss"] for row in own] == [
        r["train/loss"] for r in read_metrics(trunk.metrics) if "train/loss" in r
    ]
    again = train_small(tmp_path, *STATE, f"init_from={trunk.path}@2", "init_from.state=true")
    assert "already complete" in again.printed[0]


def test_a_state_goes_on_under_another_configuration(trunk, tmp_path):
    """The new rates hold from the first step on; an average that was not kept begins at the weights that were reached."""
    changed = (*STATE, "optimizer.lr=0", "ema=[warm_up,constant]", f"init_from={trunk.path}@2", "init_from.state=true")
    fork = train_small(tmp_path, *changed)
    assert any("; the average constant begins there" in line for line in fork.printed)
    begun = torch.load(trunk.checkpoints / "step-00000002.ckpt", weights_only=True)
    ended = saved_state(fork.run)
    assert differences(ended["state_dict"], begun["state_dict"]) == []
    assert ended["global_step"] == 4
    moments, before = (state["optimizer_states"][0]["state"] for state in (ended, begun))
    assert moments.keys() == before.keys()
    assert float(moments[0]["step"]) == 4
    shadows = ended["callbacks"]["EMACallback"]["shadows"]
    assert shadows.keys() == {"warm_up", "constant"}
    online = {name.removeprefix("denoiser."): value for name, value in begun["state_dict"].items()}
    assert all(torch.equal(value, online[name]) for name, value in shadows["constant"].items())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["network.width=24"], "network.width=24 makes it another model, which a whole state does not fit"),
        (["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps"], "optimizer=torch.optim.SGD knows no moments of"),
        (["init_from.track=online"], "init_from.state=true takes all of a run: leave init_from.ema"),
        (["trainer.max_steps=1"], "it is at step 2, beyond trainer.max_steps=1"),
    ],
)  # fmt: skip
def test_a_state_of_no_use_is_refused_in_a_line(trunk, tmp_path, capsys, words, said):
    assert said in refused(capsys, tmp_path, *STATE, f"init_from={trunk.path}@2", "init_from.state=true", *words)
    assert not list(tmp_path.glob("*/*/config.yaml"))


def test_the_state_of_a_run_that_is_to_come_is_known_by_its_name(trunk, tmp_path):
    """So that a plan can name a run before it is trained."""
    named = GivenWeights(f"{trunk.path}@2", state=True)
    to_come = GivenWeights(f"{tmp_path / trunk.path.name}@2", state=True)
    assert named.fingerprint == to_come.fingerprint
    assert GivenWeights(f"{trunk.path}@3", state=True).fingerprint != named.fingerprint
    assert GivenWeights(str(trunk.checkpoints / "step-00000002.ckpt"), state=True).fingerprint == named.fingerprint
    assert (
        GivenWeights(str(trunk.path), state=True).fingerprint == GivenWeights(f"{trunk.path}@4", state=True).fingerprint
    )
