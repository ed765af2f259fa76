"""A classifier from its training to the images that it guides."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from difflab.checkpoints import openai
from difflab.checkpoints.load import frozen_classifier, load_model
from difflab.config.keys import ConfigError
from difflab.networks import weights_sha256
from difflab.schedules import linear
from running import composed, differences, sample_from, saved_state, train_small, train_until

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSIFIER = (
    "data=digits_nine_tenths",
    "held_out=digits",
    "module=classifier",
    "network=encoder",
    "network.attention.heads.channels=16",
    "network.pooling.heads.channels=16",
    "network.dropout=0.1",
    "objective=noisy_classification",
    "objective/time_sampler=loss_second_moment",
    "evaluation=held_out_accuracy",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("classifier"), *CLASSIFIER)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("diffusion"), "trainer.max_steps=3", "eval.every=3")


def test_its_scores_are_logged_by_quarter_of_time_with_their_protocol(trained):
    scores, protocols = trained.run.last_scores(), json.loads(trained.run.protocol.read_text(encoding="utf-8"))
    parts = ["", "_q1", "_q2", "_q3", "_q4"]
    assert {f"eval/warm_up/{term}{part}" for term in ("loss", "top1", "top5") for part in parts} == set(scores)
    assert set(scores) == set(protocols)
    fields = protocols["eval/warm_up/top1"]
    assert (fields["samples"], fields["reference.images"], fields["track"]) == (40, 180, "warm_up")
    assert (trained.run.checkpoints / "best.ckpt").exists()


def test_after_a_power_cut_it_goes_on_as_if_nothing_had_happened(trained, tmp_path, monkeypatch):
    train_until(8, monkeypatch, tmp_path, *CLASSIFIER)
    resumed = train_small(tmp_path, *CLASSIFIER)
    assert any("resuming from step 6" in line for line in resumed.printed)
    whole, rest = saved_state(trained.run), saved_state(resumed.run)
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert differences(whole[part], rest[part]) == []
    for name in ("EMACallback", "ObjectiveCallback"):
        assert differences(whole["callbacks"][name], rest["callbacks"][name]) == []
    assert resumed.run.last_scores() == trained.run.last_scores()


def test_run_checkpoint_and_export_are_the_same_classifier(trained):
    run = trained.run
    x_t, t = torch.randn(3, 1, 8, 8), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    names = [run.path, run.checkpoints / "step-00000012.ckpt", run.weights / "warm_up.safetensors"]
    by_name = [frozen_classifier(str(name)) for name in names]
    for classifier in by_name:
        assert torch.equal(classifier(x_t, t), by_name[0](x_t, t))
        assert not classifier.training
        assert not any(p.requires_grad for p in classifier.parameters())
    assert not torch.equal(frozen_classifier(str(run.path), "online")(x_t, t), by_name[0](x_t, t))


def test_a_model_of_the_wrong_kind_is_refused(trained, diffusion):
    with pytest.raises(ConfigError, match="no classifier of noised images"):
        frozen_classifier(str(diffusion.run.path))
    with pytest.raises(ConfigError, match="draws no images"):
        load_model(str(trained.run.path), None, None, None)


@pytest.mark.parametrize("kind", ["classifier", "mean_shift_at_image", "mean_shift_at_mean"])
def test_it_guides_and_the_protocol_names_its_weights(trained, diffusion, tmp_path, kind):
    sampler = ("sampler=ddpm", "sampler.grid.steps=4", "num_samples=10", "batch_size=10")
    guided = (f"guidance=[clip,{kind}]", f"guidance.{kind}.classify.checkpoint={trained.run.path}")
    config = composed("sample", f"checkpoint={diffusion.run.path}", *guided)
    assert OmegaConf.select(config, f"guidance.{kind}.scale") == 2.0
    printed = sample_from(diffusion.run.path, tmp_path / "out", *sampler, *guided)
    assert printed
    digest = weights_sha256(frozen_classifier(str(trained.run.path)).state_dict())
    described = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.json"))
    assert digest in described
    assert str(trained.run.path) not in described.replace(str(diffusion.run.path), "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.num_classes=0",), "two classes"),
        (("held_out=none",), "kept from training"),
        (("condition_dropout=0.1",), "condition_dropout=0"),
        (("data=digits", "held_out.n=1"), "n=1"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_remedy(overrides, message):
    config = composed("train", "+experiment=digits_classifier", "logger=none", *overrides)

    def make():
        instantiate(config.module, _convert_="all")
        instantiate(config.evaluation, _convert_="all")

    with pytest.raises(InstantiationException, match=message):
        make()


def test_a_released_classifier_is_loaded_by_its_files_name(tmp_path):
    """Its names and shapes, with zeros for weights."""
    keys = json.loads(gzip.decompress((GOLDEN / "released_checkpoint_keys.json.gz").read_bytes()))["128x128_classifier"]
    weights = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in keys.items()}
    torch.save(weights, tmp_path / "128x128_classifier.pt")
    classifier = frozen_classifier(f"openai:{tmp_path / '128x128_classifier.pt'}")
    assert (classifier.num_classes, classifier.image_shape) == (1000, (3, 128, 128))
    t = torch.tensor([1 / 1000, 1.0], dtype=torch.float64)
    assert classifier.coefficients(t)[1].c_noise.tolist() == [0, 999]
    for mine, theirs in zip(classifier.schedule(t), linear(1000)(t), strict=True):
        assert torch.equal(mine, theirs)
    # the one for 64 x 64 was trained beside a model with the cosine schedule
    assert openai.diffusion(openai.flags_for("64x64_classifier")).noise_schedule == "cosine"
