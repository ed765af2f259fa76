"""Facts of papers that were once wrong here, each with the place where it was read: they do not slip back."""

from pathlib import Path
from typing import Any

import torch
import yaml
from hydra import compose
from omegaconf import OmegaConf

from difflab.config.build import build
from difflab.config.keys import compose_or_explain, composing
from difflab.config.resolve import resolve_row
from difflab.evaluation import read_targets
from difflab.evaluation.published import Target
from difflab.studies import load_study
from one_pass import each

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "conf" / "experiment"
STUDIES = ROOT / "experiments"

SETTINGS: list[tuple[str, str, Any, str]] = [
    # improved-diffusion, README line 112: --rescale_learned_sigmas False --rescale_timesteps False, with 4000 steps
    ("iddpm/upsampler_64_256", "schedule.time_scale", 1.0, "README of improved-diffusion, upsampler"),
    ("iddpm/upsampler_64_256", "objective.vlb_weight", 1 / 4000, "README of improved-diffusion, upsampler"),
    ("iddpm/imagenet64/conditional", "schedule.time_scale", 1.0, "README of improved-diffusion, 270 M"),
    ("iddpm/imagenet64/conditional", "objective.vlb_weight", 1 / 4000, "README of improved-diffusion, 270 M"),
    ("sr3/16_128", "lr_schedule.total_iters", 10000, "2104.07636, section 4: linear warm-up over 10k training steps"),
    ("sr3/64_256", "lr_schedule.total_iters", 10000, "2104.07636, section 4: linear warm-up over 10k training steps"),
    ("ddpm/cifar10", "lr_schedule.total_iters", 5000, "hojonathanho/diffusion, run_cifar.py"),
    ("ddpm/cifar10", "trainer.gradient_clip_val", 1.0, "hojonathanho/diffusion, run_cifar.py"),
    (
        "edm/cifar10/b_hyper",
        "lr_schedule.total_iters",
        19531,
        "2206.00364, appendix F.3: 10 million images of 512 a step",
    ),
    ("edm/cifar10/b_hyper", "trainer.gradient_clip_val", None, "2206.00364, appendix F.3"),
    ("cfg/imagenet64_p10", "variance.v", 0.3, "2207.12598, section 4"),
    ("cfg/imagenet128", "variance.v", 0.2, "2207.12598, section 4"),
]

NUMBERS: list[tuple[str, str, float, str]] = [
    ("cfg/imagenet128", "is", 158.47, "2207.12598, table 2"),
    ("iddpm/imagenet64/conditional", "fid", 2.92, "2105.05233, table 5"),
    ("iddpm/imagenet64/conditional", "sfid", 3.79, "2105.05233, table 5: of this model, with ADM's evaluator"),
    ("iddpm/imagenet64/conditional", "precision", 0.74, "2105.05233, table 5"),
    ("iddpm/imagenet64/conditional", "recall", 0.62, "2105.05233, table 5"),
    ("sr3/16_128", "psnr", 23.04, "2104.07636, table 1"),
    ("sr3/16_128", "ssim", 0.65, "2104.07636, table 1"),
    ("sr3/64_256", "psnr", 26.4, "2104.07636, table 2"),
    ("sr3/64_256", "ssim", 0.762, "2104.07636, table 2"),
    ("sr3/64_256", "fid", 5.2, "2104.07636, table 2"),
]


def targets_of(experiment: str) -> dict[str, Target]:
    node = yaml.safe_load((EXPERIMENTS / f"{experiment}.yaml").read_text(encoding="utf-8"))
    return {target.name: target for target in read_targets(node.get("target", {}))}


@each(("experiment", "key", "value", "source"), SETTINGS)
def test_settings(experiment, key, value, source):
    places = ["data.dataset.root=X", "held_out.root=X"] if experiment == "sr3/16_128" else []  # faces lie in a folder
    node: Any = resolve_row([f"+experiment={experiment}", *places]).config
    for part in key.split("."):
        node = node[part]
    assert node == value, source


@each(("experiment", "metric", "value", "source"), NUMBERS)
def test_numbers(experiment, metric, value, source):
    target = targets_of(experiment)[metric]
    assert (target.value, target.confidence) == (value, "paper"), source


def test_adms_precision_and_recall_are_against_10000_images():
    """guided-diffusion, evaluations/README.md: statistics over the whole dataset, and 10,000 images for precision and recall."""
    found = [target for path in EXPERIMENTS.glob("adm/*.yaml") for target in targets_of(f"adm/{path.stem}").values()]
    for path in STUDIES.glob("adm_*/study.yaml"):
        found += [target for row in load_study(path).rows.values() for target in row.published.values()]
    shares = [target for target in found if target.metric in ("precision", "recall")]
    assert len(shares) == 74
    assert {target.stated["reference_images"] for target in shares} == {10_000}
    assert {target.stated.get("reference_images", 1_281_167) for target in found if target not in shares} == {1_281_167}
    assert all("samples" not in target.assumed for target in found)


@each("name", sorted(path.parent.name for path in STUDIES.glob("adm_*/study.yaml")))
def test_adms_studies_measure_as_adm_does(name):
    """Images are truncated (guided-diffusion's scripts), precision and recall are against 10,000 images of the reference."""
    study = load_study(STUDIES / name / "study.yaml")
    with composing():
        config = compose_or_explain("evaluate", [*study.evaluation.overrides, "checkpoint=RUN"])
    assert config.quantization._target_ == "difflab.features.to_uint8_truncated"
    assert not study.evaluation.metrics.count("recall") or config.metric.precision_recall.reference_images == 10_000


@each(
    ("row", "millions"),
    [("a_baseline", 61.8), ("b_hyper", 61.8), ("c_capacity", 55.7), ("d_preconditioning", 55.7), ("e_loss", 55.7)],
)
def test_the_networks_of_edms_rows_are_as_large_as_its_own(row, millions):
    """As its training/networks.py builds them; 2206.00364, appendix F.3 and F.4: ~56 million after row B, 6 blocks with attention."""
    with composing():
        config = OmegaConf.to_container(compose("train", [f"+experiment=edm/cifar10/{row}"]), resolve=True)
    with torch.device("meta"):
        network = build(config["network"])  # type: ignore[index]
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions
    assert sum(type(part).__name__ == "SongAttention" for part in network.modules()) == 6


@each("row", ["a_baseline", "b_hyper", "c_capacity", "d_preconditioning", "e_loss"])
def test_edms_number_is_that_of_the_best_snapshot(row):
    """2206.00364, appendix F.3: a snapshot for every 2.5 million images, the one with the lowest FID; of three sets of samples."""
    target = targets_of(f"edm/cifar10/{row}")["fid"]
    assert target.at_step is None
    assert (
        target.selection
        == "lowest of three sets of samples, at the snapshot of every 2.5 million images with the lowest FID"
    )


def test_ddim_clips_nothing_and_its_sigma_hat_does():
    """ermongroup/ddim, functions/denoising.py: generalized_steps has no clamp, ddpm_steps clamps x_0 to [-1, 1]."""
    study = load_study(STUDIES / "ddim_cifar10" / "study.yaml")
    for row in study.rows.values():
        with composing():
            config = compose_or_explain("evaluate", [*study.evaluation.overrides, *row.draw, "checkpoint=RUN"])
        clips = row.name.startswith("ddpm")
        assert config.get("guidance") == (None if clips else {})  # nothing: what the run has, which clips
        assert row.published["fid"].stated["clipping"] == ("clip" if clips else "none")
    assert list(resolve_row(["+experiment=ddpm/cifar10"]).config["guidance"]) == ["clip"]
