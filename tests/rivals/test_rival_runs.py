"""Rivals are trained, resumed, drawn from and measured by the commands of denoisers, and the study compares them fairly."""

import contextlib
import io
from pathlib import Path

import pytest
import torch

import running
from difflab.cli.evaluate import evaluate
from difflab.cli.train import train
from difflab.config.resolve import resolve_row
from difflab.evaluation.results import Results
from difflab.likelihoods import OfModel
from difflab.noise import ImageNoise
from difflab.rivals import AtOnce, Generator, ToImage
from difflab.runs import RunDirectory
from difflab.samplers import OnePass, draw
from difflab.studies import load_study
from difflab.studies.planning.facts import RowFacts
from difflab.training import TrainedModule
from difflab.types import Condition, Prediction

ROOT = Path(__file__).parents[2]
RIVALS = [
    pytest.param("gan", id="gan"),
    pytest.param("vae", marks=pytest.mark.slow, id="vae"),
    pytest.param("realnvp", marks=pytest.mark.slow, id="realnvp"),
]
TINY = (
    "network.width=4",
    "data.batch_size=8",
    "trainer.max_steps=4",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "eval.every=4",
    "eval.num_samples=10",
    "eval.batch_size=10",
    "eval.grid=10",
    "checkpoint.every=2",
    "checkpoint.keep_last=9",
    "logger=none",
)


def trained(root: Path, rival: str, *overrides: str) -> RunDirectory:
    """`python train.py +experiment=rivals/RIVAL`, as far as it gets."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(running.PowerCut):
        train(running.composed("train", f"+experiment=rivals/{rival}", *TINY, f"run.root={root}", *overrides))
    (config,) = root.rglob("config.yaml")
    return RunDirectory(config.parent)


def resumed(root: Path, rival: str, monkeypatch) -> RunDirectory:
    """The same in two goes, with a power cut in the third step."""
    whole = TrainedModule.training_step

    def cut(self, batch, batch_idx):
        if self.trainer.global_step == 2:
            raise running.PowerCut
        return whole(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedModule, "training_step", cut)
        assert not trained(root, rival).complete.exists()
    return trained(root, rival)


@pytest.mark.parametrize("rival", RIVALS)
def test_a_rival_is_trained_resumed_drawn_from_and_measured(rival, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    run = trained(tmp_path / "whole", rival)
    state, again = running.saved_state(run), running.saved_state(resumed(tmp_path / "cut", rival, monkeypatch))
    assert state["global_step"] == 4
    assert not running.differences(state["state_dict"], again["state_dict"])
    assert not running.differences(state["optimizer_states"], again["optimizer_states"])
    assert not running.differences(state["callbacks"]["EMACallback"], again["callbacks"]["EMACallback"])
    running.sample_from(run.path, tmp_path / "drawn", "num_samples=4", "batch_size=4", "format=[npz]")
    assert next((tmp_path / "drawn").glob("samples_*.npz")).stat().st_size
    wanted = "0" if rival == "gan" else "6"
    words = (
        f"checkpoint={run.path}",
        f"out={tmp_path / 'measured'}",
        "accelerator=cpu",
        "num_samples=10",
        "batch_size=10",
    )
    config = running.composed("evaluate", *words, "metric=[frechet]", f"bits_per_dim={wanted}", "likelihood=of_model")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(config)
    results = Results.from_json((tmp_path / "measured" / "results.json").read_text(encoding="utf-8"))
    names = {one.metric for one in results.measurements}
    assert names == {"fd_digits"} | ({"bits_per_dim_of_model"} if rival != "gan" else set())
    assert 0 < results.subject["seconds_per_image"] < 10


@pytest.mark.slow
@pytest.mark.parametrize("rival", ["gan", "vae", "realnvp"])
def test_two_processes_give_the_run_of_one_and_go_on_to_the_bit(rival, tmp_path):
    import sys

    sys.path.insert(0, str(ROOT / "tests" / "training"))
    from two_processes import rows_of, torchrun

    eps = {"gan": [f"+optimizer.parts.{part}.optimizer.eps=1.0e-5" for part in ("discriminator", "generator")]}
    words = [f"+experiment=rivals/{rival}", f"run.name={rival}", *TINY, *eps.get(rival, ["optimizer.eps=1.0e-5"])]
    one = trained(tmp_path / "one", rival, *words[len(TINY) + 2 :], f"run.name={rival}")
    command = ["train as said", [*words, f"run.root={tmp_path / 'two'}", "strategy=ddp"]]
    keep = ["keep", str(tmp_path / "two"), str(tmp_path / "whole")]
    torchrun(tmp_path, [command, keep, ["rewind", str(tmp_path / "two"), 2], command])
    whole, two = (RunDirectory(next((tmp_path / name).rglob("config.yaml")).parent) for name in ("whole", "two"))
    for a, b in zip(rows_of(one), rows_of(whole), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4), a["step"]
    mine, theirs = running.saved_state(one), running.saved_state(whole)
    torch.testing.assert_close(mine["state_dict"], theirs["state_dict"], rtol=1e-3, atol=2e-5)
    assert not running.differences(theirs["state_dict"], running.saved_state(two)["state_dict"])


class Doubled(Generator):
    """x_0 = 2 x_T."""

    def forward(self, x_t, t, cond):
        assert (t == 1).all()
        return Prediction(2 * x_t)


def test_one_pass_asks_once_at_the_noisy_end():
    model, seeds = Doubled(ToImage(4, 1, {}, width=4)), torch.arange(3)
    x = draw(model, model.schedule, OnePass(), (1, 4, 4), seeds, Condition())
    assert torch.equal(x, 2 * ImageNoise(0, seeds).normal("x_T", (1, 4, 4)).float())
    steps = list(OnePass().trajectory(model, model.schedule, x, Condition(), ImageNoise(0, seeds)))
    assert len(steps) == 1
    assert not OnePass().wanders(model.schedule)


def test_nothing_lies_between_noise_and_image():
    alpha, sigma = AtOnce()(torch.tensor([0.0, 1e-9, 0.5, 1.0], dtype=torch.float64))
    assert alpha.tolist() == [1, 0, 0, 0]
    assert sigma.tolist() == [0, 1, 1, 1]


def test_a_model_without_a_likelihood_of_its_own_is_told():
    model = Doubled(ToImage(4, 1, {}, width=4))
    with pytest.raises(ValueError, match="Doubled does not say by itself what an image costs"):
        OfModel()(
            model, model, torch.zeros(1, 1, 4, 4), Condition(), ImageNoise(0, torch.arange(1)), torch.zeros(1), 2 / 255
        )


def test_rows_of_the_study_see_as_much_and_have_as_many_parameters():
    study, facts = load_study(ROOT / "experiments" / "rivals_digits" / "study.yaml"), RowFacts()
    rows = {
        row.name: resolve_row([f"+experiment={row.experiment}", *study.overrides, *row.overrides])
        for row in study.rows.values()
    }
    count = {name: facts.parameters(row) for name, row in rows.items()}
    assert list(count) == ["cosine_adagn", "vae", "gan", "realnvp"]
    assert all(abs(one / count["cosine_adagn"] - 1) < 0.1 for one in count.values()), count
    seen = {(row.config["trainer"]["max_steps"], row.config["data"]["batch_size"]) for row in rows.values()}
    assert len(seen) == 1
    assert len({str(row.config["data"]["dataset"]) for row in rows.values()}) == 1


@pytest.mark.parametrize("rival", ["vae", "gan", "realnvp"])
def test_experiments_have_as_many_parameters_as_the_denoiser(rival):
    facts = RowFacts()
    ours, theirs = (
        facts.parameters(resolve_row([f"+experiment={name}"])) for name in (f"rivals/{rival}", "cosine_adagn")
    )
    assert abs(ours / theirs - 1) < 0.1
