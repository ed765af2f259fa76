"""Training from given weights: strict or by pattern, a part of the identity by their content."""

import shutil

import pytest
import torch
from torch import nn

from difflab.checkpoints.initial import GivenWeights
from difflab.config.keys import ConfigError
from difflab.config.words import readable
from difflab.runs import info
from difflab.runs.info import as_text
from running import SHORT, train_small

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
    told = GivenWeights(str(tmp_path / "w.pt"), skip=["head.*"]).put_into(here)
    assert told.endswith("w.pt, 2 of 4 tensors")
    assert torch.equal(here["trunk"].weight, there["trunk"].weight)
    assert torch.equal(here["head"].weight, head)
    other = nn.ModuleDict({"trunk": nn.Linear(2, 2)})
    assert GivenWeights(str(tmp_path / "w.pt"), keys="trunk.*").put_into(other).endswith("2 of 2 tensors")
    renamed = nn.ModuleDict({"trunk": nn.Linear(2, 2), "heads": nn.Linear(2, 3)})
    with pytest.raises(ConfigError, match=r"heads\.weight; head\.weight is meant"):
        GivenWeights(str(tmp_path / "w.pt")).put_into(renamed)


def test_the_short_word_is_written_out():
    assert readable(["init_from=a/b"]) == ["init_from=weights", "init_from.checkpoint=a/b"]
    assert readable(["init_from=none", "init_from=weights"]) == ["init_from=none", "init_from=weights"]
    assert readable(["init_from=/w(1)/ä.pt"]) == ["init_from=weights", 'init_from.checkpoint="/w(1)/ä.pt"']
