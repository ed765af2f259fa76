"""The groups `debug` and `hparams_search`: trials of one's own configuration, and what Optuna looks for."""

import contextlib
import io
import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from difflab.checkpoints.trained_data import trained_data
from difflab.cli.train import train
from difflab.config.unchosen import drop_unchosen
from difflab.data import Digits
from difflab.runs import RunDirectory
from difflab.runtime import invocation as extras
from running import SHORT, composed

SMALL_NETWORK = ("+experiment=cosine_adagn", "network.width=16", "trainer.accelerator=cpu")


def run_with(*words: str) -> tuple[RunDirectory, str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", *words))
    return RunDirectory(out.getvalue().splitlines()[-1]), out.getvalue()


@pytest.mark.parametrize("words", [("+debug=fast", *SMALL_NETWORK), (*SMALL_NETWORK, "+debug=fast")])
def test_a_trial_goes_before_the_experiment_wherever_it_is_typed(words):
    config = composed("train", *words)
    assert (config.trainer.max_steps, config.eval.num_samples, config.logger) == (1, 16, {})
    assert (config.run.root, config.debug) == ("runs/debug", "fast")
    assert composed("train", *words, "trainer.max_steps=3").trainer.max_steps == 3


def test_fast_is_a_step_of_everything_in_a_run_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, printed = run_with(*SMALL_NETWORK, "+debug=fast")
    assert run.path.parents[1].absolute() == tmp_path / "runs" / "debug"
    assert "a trial, kept apart from results in runs/debug" in printed
    assert run.status() == "complete"
    assert "eval/warm_up/fd_digits@16" in run.last_scores()
    assert run.last_grid() is not None
    assert (run.weights / "warm_up.safetensors").exists()


def test_eight_images_are_learned_by_heart_and_found_again(tmp_path):
    """Also after an experiment that is guided, for which conditions are dropped, and whose learning rate has its own course."""
    run, printed = run_with(*SMALL_NETWORK, *SHORT, "+debug=overfit", "trainer.max_steps=1", f"run.root={tmp_path}")
    assert "data       Digits: 8 images" in printed
    assert "16 samples against the 8 images of the data" in printed
    images = trained_data(OmegaConf.to_container(OmegaConf.load(run.config)), run.weights / "warm_up.safetensors")  # type: ignore[arg-type]
    assert len(images) == 8
    assert images.labels is not None
    assert torch.equal(images.images([1]), Digits().images([1797 // 8]))
    guided = composed("train", "+experiment=fashion_mnist", "+debug=overfit")
    drop_unchosen(guided)
    assert (list(guided.guidance), guided.condition_dropout, guided.data.augmentations) == (["clip"], 0.0, [])


@pytest.mark.slow
def test_the_loss_on_eight_images_falls_far_below_that_of_a_training(tmp_path):
    words = (*SMALL_NETWORK, "+debug=overfit", "data.batch_size=64", f"run.root={tmp_path}")
    few, all_ = (loss_at_the_end(run_with(*words, *more)[0]) for more in ((), ("data.max_images=null",)))
    assert few < 0.7 * all_


def loss_at_the_end(run: RunDirectory) -> float:
    lines = (json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines())
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    return sum(losses[-4:]) / 4


def test_a_trial_is_never_the_run_of_the_same_numbers(tmp_path):
    words = (*SMALL_NETWORK, "trainer.max_steps=1", "eval.num_samples=16", "eval.batch_size=16", "logger=none")
    words = (
        *words,
        "eval.grid=16",
        "eval.every=1",
        "sampler.grid.steps=4",
        "data.batch_size=8",
        f"run.root={tmp_path}",
    )
    assert run_with(*words)[0].path != run_with(*words, "+debug=fast")[0].path


def test_the_profilers_report_is_in_the_run(tmp_path):
    run, _ = run_with(*SMALL_NETWORK, "+debug=profile", "trainer.max_steps=2", f"run.root={tmp_path}")
    assert "run_training_batch" in (run.path / "fit-profile.txt").read_text(encoding="utf-8")


def test_optuna_is_told_what_to_look_for(monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    from hydra import compose, initialize_config_dir

    from difflab.config.paths import config_directory

    with initialize_config_dir(str(Path(config_directory())), version_base="1.3"):
        words = ["+experiment=cosine_adagn", "+hparams_search=optuna", "hydra.sweeper.n_trials=3"]
        sweeper = compose("train", overrides=words, return_hydra_config=True).hydra.sweeper
    assert (sweeper.n_trials, sweeper.direction) == (3, "minimize")
    assert list(sweeper.params) == ["optimizer.lr", "ema.warm_up.decay"]
    monkeypatch.setattr(extras, "_is_there", lambda module: False)
    for word in ("hparams_search=optuna", "+hparams_search=optuna"):
        assert "sweeps" in extras.lacking([word])
