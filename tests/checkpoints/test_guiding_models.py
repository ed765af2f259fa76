"""Guidances that bring a network along: loaded, moved, named by its weights, kept out of checkpoints."""

import json
import shutil

import numpy as np
import pytest
import torch
from omegaconf.errors import OmegaConfBaseException

from difflab.checkpoints.load import frozen_denoiser
from difflab.config.keys import ConfigError
from difflab.config.options import read_options
from difflab.config.resolve import resolve_row
from difflab.networks import weights_sha256
from difflab.sampling import SamplingOptions
from difflab.sampling.build import model_of, plan_job
from difflab.studies.planning.facts import RowFacts
from running import SMALL, Outcome, composed, sample_from, saved_state, train_small


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    return train_small(tmp_path_factory.mktemp("runs"), "checkpoint.keep_last=4")


def early(outcome):
    return outcome.run.checkpoints / "step-00000006.ckpt"


def by(weak, *overrides):
    return [
        "guidance=[autoguidance,clip]",
        f"guidance.autoguidance.weak.checkpoint={weak}",
        *overrides,
    ]


def planned(outcome, *overrides):
    config = composed(
        "sample", f"checkpoint={outcome.run.path}", "accelerator=cpu", "num_samples=6", "overwrite=true", *overrides
    )
    options = read_options(SamplingOptions, config)
    return plan_job(options, model_of(options), outcome.run.path)


def drawn(outcome, folder, *overrides):
    sample_from(outcome.run.path, folder, "num_samples=6", *overrides)
    (path,) = folder.glob("samples_*.npz")
    return np.load(path)["arr_0"].astype(int)


def test_a_frozen_denoiser_is_the_runs_without_gradients(outcome):
    weak, online = frozen_denoiser(str(early(outcome))), frozen_denoiser(str(early(outcome)), track="online")
    saved = torch.load(early(outcome), weights_only=True)
    for name, p in online.named_parameters():
        assert torch.equal(p, saved["state_dict"][f"denoiser.{name}"])
        assert not p.requires_grad
    assert not weak.training
    assert any(not torch.equal(a, b) for a, b in zip(weak.parameters(), online.parameters(), strict=True))
    with pytest.raises(ConfigError, match=r"a frozen model.*no such file"):
        frozen_denoiser("nowhere")


def test_a_shift_of_the_mean_asks_for_a_sampler_with_a_variance(outcome):
    shift = ("guidance=[clip,mean_shift_at_image]", "guidance.mean_shift_at_image.classify.checkpoint=nowhere")
    said = "guidance.mean_shift_at_image needs the variance of the sampler, and DDIM has none: add sampler=ddpm"
    with pytest.raises(ConfigError, match=said):
        planned(outcome, *shift, "sampler=ddim")
    with pytest.raises(ConfigError, match=said):
        resolve_row(["+experiment=cosine_adagn", *shift, "sampler=ddim"])
    with pytest.raises(
        ConfigError, match=r"^guidance\.mean_shift_at_image\.classify: .*nowhere: there is no such file"
    ):  # the next question
        planned(outcome, *shift, "sampler=ddpm", "sampler.grid.steps=4")


def test_an_earlier_checkpoint_guides_and_the_same_one_does_not(outcome, tmp_path):
    plain = drawn(outcome, tmp_path / "plain")
    assert (
        np.abs(drawn(outcome, tmp_path / "w1", *by(early(outcome), "guidance.autoguidance.scale=1")) - plain).max() == 0
    )
    assert np.abs(drawn(outcome, tmp_path / "same", *by(outcome.run.path)) - plain).max() <= 1
    strong = drawn(outcome, tmp_path / "strong", *by(early(outcome), "scale=4"))
    assert np.abs(strong - plain).max() > 10


def test_the_protocol_names_the_weak_model_by_its_weights(outcome, tmp_path):
    fields = planned(outcome, *by(early(outcome))).folder.plan.fields
    guidance = {name: value for name, value in fields.items() if name.startswith("guidance.autoguidance")}
    assert set(guidance) == {f"guidance.autoguidance.{key}" for key in ("_target_", "scale", "weak.weights_sha256")}
    moved = tmp_path / "elsewhere"
    shutil.copytree(outcome.run.path, moved)
    assert planned(outcome, *by(moved / "checkpoints" / early(outcome).name)).folder.plan.fields == fields
    other = planned(outcome, *by(early(outcome), "guidance.autoguidance.weak.track=online")).folder.plan.fields
    assert {name for name in fields if fields[name] != other[name]} == {"guidance.autoguidance.weak.weights_sha256"}


def test_the_order_of_guidances_is_part_of_the_protocol(outcome):
    """They nest, and the other order draws other images: one may not go on with what the other has drawn."""
    one, other = (
        planned(outcome, f"guidance=[{order}]") for order in ("perturbed_attention,clip", "clip,perturbed_attention")
    )
    differences = one.folder.plan.differences(other.folder.plan)
    assert [(d.field, d.first) for d in differences] == [("guidance_order", "perturbed_attention, clip")]
    assert one.folder.plan.fingerprint != other.folder.plan.fingerprint
    assert "guidance_order" not in planned(outcome, "guidance=[clip]").folder.plan.fields


def test_w_1_of_any_kind_is_no_guidance_by_name_as_well(outcome):
    plain = planned(outcome, "guidance=[clip]").folder.plan.fields
    for kind in ("autoguidance", "perturbed_attention", "score_at_prediction", "score_through_denoiser"):
        overrides = by("nowhere")[1:] if kind == "autoguidance" else []
        guided = planned(outcome, f"guidance=[{kind},clip]", *overrides, "scale=1")
        assert guided.folder.plan.fields == plain
        assert list(guided.guidance.guidances) == ["clip"]


def test_a_run_guided_by_another_keeps_that_one_out_of_its_checkpoints(outcome, tmp_path):
    guided = train_small(tmp_path, *by(early(outcome)), "seed=1")
    state = saved_state(guided.run)
    assert state["state_dict"].keys() == saved_state(outcome.run)["state_dict"].keys()
    assert not any("Guidance" in name for name in state["callbacks"])
    for protocol in json.loads(guided.run.protocol.read_text(encoding="utf-8")).values():
        named = {name: value for name, value in protocol.items() if name.startswith("guidance.autoguidance.weak")}
        assert named == {
            "guidance.autoguidance.weak.weights_sha256": weights_sha256(
                frozen_denoiser(str(early(outcome))).state_dict()
            )
        }
    assert planned(guided).protocol_fields["guidance"]["autoguidance"]["weak"] == {
        "weights_sha256": next(iter(named.values()))
    }


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            ["guidance=[perturbed_attention]", "guidance.perturbed_attention.places=[9]"],
            r"places = \[9\].*UNet has self-attention at",
        ),
        (["guidance=[perturbed_attention,classifier_free]", "scale=2"], "more than one guidance with a scale"),
        (["guidance=[rescaled_classifier_free]"], "condition_dropout"),
    ],
)
def test_what_cannot_guide_is_refused_before_anything_is_drawn(outcome, overrides, reason):
    with pytest.raises((ValueError, OmegaConfBaseException), match=reason):
        planned(outcome, *overrides)


def test_a_weak_model_of_another_schedule_is_refused(outcome, tmp_path):
    other = train_small(tmp_path, "schedule=linear", "schedule.steps=40", "trainer.max_steps=6")
    with pytest.raises(ValueError, match=r"guidance\.autoguidance\.weak.*another noise schedule"):
        planned(outcome, *by(other.run.path))
    with pytest.raises(ConfigError, match=r"^guidance\.autoguidance\.weak: a frozen model"):
        planned(outcome, *by("nowhere"))


@pytest.mark.parametrize(
    "kind", ["perturbed_attention", "score_at_prediction", "score_through_denoiser", "dynamic_threshold"]
)
def test_each_kind_draws(outcome, tmp_path, kind):
    assert (
        np.abs(
            drawn(outcome, tmp_path / kind, f"guidance=[{kind}]") - drawn(outcome, tmp_path / "none", "guidance=[none]")
        ).max()
        > 3
    )


@pytest.mark.parametrize(
    ("overrides", "calls"),
    [
        (["guidance=[perturbed_attention,clip]"], 8),
        (["guidance=[score_through_denoiser]"], 4),
        (["guidance=[score_at_prediction]"], 4),
        (["guidance=[perturbed_attention,adaptive_projected]"], 16),
        (
            [
                "guidance=[classifier_free_over_time]",
                "guidance/shape@guidance.classifier_free_over_time.shape=time_interval",
                "guidance.classifier_free_over_time.shape.low=0.3",  # one of the times 0.25, 0.5, 0.75, 1
                "guidance.classifier_free_over_time.shape.high=0.6",
            ],
            5,
        ),
        (["guidance=[autoguidance,clip]", "guidance.autoguidance.weak.checkpoint={early}"], 4),
    ],
)
def test_a_plan_counts_what_guidance_costs(outcome, overrides, calls):
    row = [
        *SMALL[:4],
        "sampler.grid.steps=4",
        "condition_dropout=0.1",
        *(text.format(early=early(outcome)) for text in overrides),
    ]
    assert RowFacts()(resolve_row(row)).sampling_calls == calls
