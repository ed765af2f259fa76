"""What W&B holds beside the lines of metrics.jsonl: words, weights, code, histograms, and the results of evaluate.py and sample.py."""

import contextlib
import io
import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from offline_runs import history, records, summarised

from difflab.cli.evaluate import checked, evaluate
from difflab.config.keys import ConfigError
from difflab.runs import RunDirectory
from difflab.runs.export import read_exported
from difflab.runs.info import as_text, info
from difflab.runs.wandb.artifacts import without_secrets
from difflab.runs.wandb.description import wandb_place
from difflab.runs.wandb.mirror import weights_and_biases
from difflab.runs.wandb.watch import histogram
from running import SHORT, composed, differences, sample_from, saved_state, train_small, train_until

MIRRORED = (
    *SHORT,
    "logger=[wandb]",
    "logger.wandb.mode=offline",
    "logger.wandb.log_model=all",
    "logger.wandb.log_code=true",
    "logger.wandb.watch=all",
    "logger.wandb.log_freq=2",
)


class Trained(NamedTuple):
    run: RunDirectory
    printed: list[str]
    plain: RunDirectory


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    """A run that was cut after its third step and went on with other tags, and the same without W&B."""
    monkeypatch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("my runs")
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    first = ("logger.wandb.tags=[baseline]", "logger.wandb.notes=the first words", "logger.wandb.name=mine")
    train_until(3, monkeypatch, root, *MIRRORED, *first)
    done = train_small(root, *MIRRORED, "logger.wandb.tags=ablation")
    plain = train_small(tmp_path_factory.mktemp("plain"), *SHORT).run
    yield Trained(done.run, done.printed, plain)
    monkeypatch.undo()


def artifacts(directory: Path, kind: str) -> list:
    return [
        r.artifact for r in records(directory) if r.WhichOneof("record_type") == "artifact" and r.artifact.type == kind
    ]


def told(directory: Path):
    """The last that a W&B run was told of itself."""
    return [r.run for r in records(directory) if r.WhichOneof("record_type") == "run"][-1]


def test_words_of_an_earlier_start_stay_and_tags_are_added(trained):
    run = told(trained.run.path)
    assert (run.display_name, run.notes, set(run.tags)) == ("mine", "the first words", {"baseline", "ablation"})
    assert (run.run_group, run.job_type) == ("cosine_adagn", "train")


def test_every_checkpoint_is_a_version_of_the_model_once(trained):
    found = artifacts(trained.run.path, "model")
    steps = [next(alias for alias in one.aliases if alias.startswith("step-")) for one in found]
    assert steps == ["step-2", "step-4"]
    assert set(found[-1].aliases) == {"latest", "best", "step-4", "online", "warm_up"}
    for entry in found[-1].manifest.contents:
        sent, own = (read_exported(path) for path in (Path(entry.local_path), trained.run.weights / entry.path))
        assert differences(sent[0], own[0]) == []
    about = json.loads(found[-1].metadata)
    assert (about["step"], about["experiment"], about["seed"]) == (4, "cosine_adagn", 0)
    assert about["scores"] == trained.run.last_scores()
    assert set(about["protocol"].values()) == {fields["fingerprint"] for fields in trained.run.protocols().values()}
    before = sorted((trained.run.path / "wandb").glob("offline-run-*"))
    train_small(trained.run.path.parents[1], *MIRRORED)  # already complete: W&B lacks nothing
    assert sorted((trained.run.path / "wandb").glob("offline-run-*")) == before


def test_a_complete_run_sends_its_weights_when_they_are_asked_for(trained):
    """Second names of the files in weights/, which take no room."""
    words = (*SHORT, "logger=[wandb]", "logger.wandb.mode=offline", "logger.wandb.log_model=true")
    train_small(trained.plain.path.parents[1], *words)
    (found,) = artifacts(trained.plain.path, "model")
    assert {entry.path for entry in found.manifest.contents} == {"online.safetensors", "warm_up.safetensors"}
    for entry in found.manifest.contents:
        assert Path(entry.local_path).samefile(trained.plain.weights / entry.path)


def test_histograms_are_in_the_lines_of_their_steps_and_change_nothing(trained):
    lines = {line["_step"]: line for line in history(trained.run.path)}
    assert list(lines) == [2, 4]
    for line in lines.values():
        kinds = {name.rpartition(".")[0] for name, value in line.items() if value == "histogram"}
        assert {name.partition("/")[0] for name in kinds} == {"gradients", "parameters"}
        assert len(kinds) > 100
    one, other = saved_state(trained.run), saved_state(trained.plain)
    assert [d for part in ("state_dict", "optimizer_states") for d in differences(one[part], other[part], part)] == []
    assert trained.run.last_scores() == trained.plain.last_scores()


def test_a_histogram_counts_what_is_finite():
    made = histogram(torch.tensor([0.0, 0.0, 1.0, float("inf"), float("nan")]))
    assert (made.histogram[0], made.histogram[-1], sum(made.histogram)) == (2, 1, 3)
    assert histogram(torch.tensor([float("nan")])) is None


def test_code_and_configuration_are_an_artifact(trained):
    found = artifacts(trained.run.path, "source")
    assert {entry.path for entry in found[-1].manifest.contents} == {"config.yaml", "protocol.json", "provenance.json"}
    config = next(entry for entry in found[-1].manifest.contents if entry.path == "config.yaml")
    assert Path(config.local_path).read_bytes() == trained.run.config.read_bytes()


def test_secrets_stay_here():
    node = {
        "token": "abc",
        "tokens": 3,
        "uri": "https://me:pw@host/x",
        "list": [{"api_key": "k"}],
        "command": "a.token=xyz b=1",
    }
    assert without_secrets(node) == {
        "token": "(set)",
        "tokens": 3,
        "uri": "https://(set)@host/x",
        "list": [{"api_key": "(set)"}],
        "command": "a.token=(set) b=1",
    }


def test_the_end_and_info_say_where_the_run_is_and_how_it_goes_up(trained):
    place = wandb_place(trained.run.path)
    assert place is not None
    assert (place.project, place.url, len(place.unsent)) == ("difflab", None, 2)
    assert place.sync_command == f"wandb sync '{trained.run.path}/wandb'/offline-run-*"
    for text in ("\n".join(trained.printed), as_text(info(trained.run.path))):
        assert f"difflab/{place.id} (offline)" in text
        assert place.sync_command in text


def test_evaluations_and_samples_are_runs_of_their_own_and_scores_in_the_summary_of_the_training(trained, tmp_path):
    words = (f"checkpoint='{trained.run.path}'", "num_samples=20", "batch_size=20", "replicates=4", "metric=[frechet]")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(composed("evaluate", *words, "accelerator=cpu", "sweep.steps=[1,2]", f"out='{tmp_path}/sweep'"))
        evaluate(composed("evaluate", *words, "accelerator=cpu", "steps=2"))
    results = [path for path in trained.run.path.glob("evaluations/*") if (path / "wandb").exists()]
    (folder,) = results
    (measured,) = json.loads((folder / "results.json").read_text(encoding="utf-8"))["measurements"]
    name = "evaluate/warm_up/fd_digits@20"
    summary = summarised(trained.run.path)
    assert summary[name] == measured["value"]
    assert [summary[f"{name}/low"], summary[f"{name}/high"]] == measured["interval_95"]
    assert summary[f"{name}/protocol"] == measured["fingerprint"]
    assert (told(folder).job_type, told(folder).run_group) == ("evaluate", "cosine_adagn")
    assert set(told(folder).tags) == {"ablation"}  # of the last start
    (line,) = history(folder)
    assert line["samples.caption"] == "20 of 20 images, warm_up at step 4, DDIM 2 steps, guidance clip, seeds 0 .. 19"
    assert (line["results.nrows"], line["classes.nrows"], line["classes.ncols"]) == (1, 10, 3)
    (line,) = history(tmp_path / "sweep")
    assert (line["sweep.nrows"], line["sweep.ncols"]) == (2, 5)

    sample_from(f"'{trained.run.path}'", tmp_path / "out", "num_samples=4", "steps=1")
    assert told(tmp_path / "out").job_type == "sample"
    assert history(tmp_path / "out")[0]["samples.caption"].startswith("4 of 4 images, warm_up at step 4, DDIM 1 steps")
    sample_from(f"'{trained.run.path}'", tmp_path / "none", "num_samples=4", "steps=1", "logger=none")
    assert not (tmp_path / "none/wandb").exists()


def test_other_loggers_take_no_results():
    with pytest.raises(ConfigError, match=r"logger=mine: results are sent to W&B alone: logger=wandb"):
        checked(composed("evaluate", "checkpoint=x", "logger=none", "+logger.mine._target_=a.B"))


@pytest.mark.parametrize(
    ("words", "message"),
    [({"tags": ["x" * 65]}, "1 to 64 characters"), ({"watch": "all", "log_freq": 0}, "log_freq=0")],
)
def test_what_wandb_would_not_take_is_said_before_there_is_a_run(words, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        weights_and_biases("p", None, "offline", RunDirectory(tmp_path), "a" * 10, **words)
