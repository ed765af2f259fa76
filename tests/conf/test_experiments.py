"""Every file of conf/experiment: composes, builds the published network, and takes a training step when shrunk."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rows import DRAWING, FOLDER, NAMES, changed, flat, header

from difflab.config.keys import check_keys
from difflab.config.paths import listing
from difflab.config.trust import read_back
from difflab.denoiser import Denoiser
from difflab.evaluation import Target, read_targets
from difflab.noise import ImageNoise
from one_pass import each
from tiny import losses_of

pytestmark = pytest.mark.long

PUBLISHED_MILLIONS = {
    "ddpm/cifar10": 35.7,  # Ho et al. 2020, appendix B
    "score_sde/cifar10/ddpmpp_vp": 61.8,  # as built from the authors' code
    "score_sde/cifar10/ddpmpp_subvp": 61.8,
    "score_sde/cifar10/ncsnpp_ve": 62.8,
    "score_sde/cifar10/ddpm_ve": 35.7,  # DDPM's network
    "iddpm/cifar10/cosine_hybrid_T4000": 52.5,  # the released model
    "iddpm/imagenet64/cosine_hybrid_T4000": 120,  # Nichol and Dhariwal 2021, section 6, to three digits at most
    "iddpm/imagenet64/conditional": 270,
    "adm/imagenet64": 296,  # Dhariwal and Nichol 2021, table 11
    "adm/imagenet128": 422,
    "adm/imagenet256": 554,
    "adm/imagenet512": 559,
    "adm/imagenet256_uncond": 552,  # LSUN's, but for the dropout
    "adm/lsun_bedroom": 552,
    "adm/lsun_horse": 552,
    "adm/lsun_cat": 552,
    "cfg/imagenet64_p10": 296,  # ADM's of this size, Dhariwal and Nichol 2021, table 11
    "cfg/imagenet128": 422,
    "dit/imagenet256/s2": 33,  # Peebles and Xie 2023, table 4
    "dit/imagenet256/b2": 130,
    "dit/imagenet256/l2": 458,
    "dit/imagenet256/xl2": 675,
    "sit/imagenet256/s2": 33,  # Ma et al. 2024, table 1
    "sit/imagenet256/b2": 130,
    "sit/imagenet256/l2": 458,
    "sit/imagenet256/xl2": 675,
    "dit/imagenet256/xl2_adaln": 600,
    "dit/imagenet256/xl2_cross_attention": 598,
    "dit/imagenet256/xl2_in_context": 449,
    "adm/upsampler_64_256": 312,  # Dhariwal and Nichol 2021, table 13
    "adm/upsampler_128_512": 309,
}


def chosen(name: str) -> list[str]:
    """The overrides that choose it; one for the user's images is told what a training counts from them."""
    return [
        f"+experiment={name}",
        *(["data.num_classes=4", "data.dataset.root=images"] if name == "own_images" else []),
    ]


def tiny(name: str) -> str:
    """The override that makes a row small."""
    if name.startswith(("dit/", "sit/")):
        return "+shrink=tiny_transformer"
    enlarges = name.startswith("sr") or "upsampler" in name
    refines = name in ("ncsn/cifar10", "ncsnv2/cifar10")
    return f"+shrink=tiny{'_superres' if enlarges else '_refinenet' if refines else ''}"


@each("name", NAMES)
def test_the_file_opens_with_paper_command_expected_number_and_cost(name):
    package, description, *rest = header(name)
    assert package == "# @package _global_"
    assert 10 < len(description.removeprefix("# ")) < 90
    labels = {line[2:].split(" ", 1)[0]: line for line in rest if len(line) > 2}
    assert {"paper", "command", "expected", "cost"} <= labels.keys()
    assert f"python train.py +experiment={name}" in labels["command"].split("  ")[-1]
    assert re.search(rf"^{re.escape(name)} +{re.escape(description[2:])}$", listing(), re.MULTILINE)


@each("name", DRAWING)
def test_it_composes_and_its_parts_fit_each_other(name, composed, base):
    config = composed(*chosen(name))
    check_keys(config, base)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    read_back(OmegaConf.to_yaml(config, resolve=True), Path("config.yaml"))  # as whoever draws from its run does
    with torch.device("meta"):  # no memory: only shapes
        network = instantiate(config.network, _convert_="all")
    schedule, parameterization, variance, objective, sampler = (
        instantiate(config[part], _convert_="all")
        for part in ("schedule", "parameterization", "variance", "objective", "sampler")
    )
    denoiser = Denoiser(network, schedule, parameterization, variance)
    objective.check(denoiser)
    assert len(sampler.grid(schedule)) == resolved["sampler"]["grid"]["steps"] + 1
    assert denoiser.image_shape == (config.data.channels, config.data.image_size, config.data.image_size)
    assert (config.data.num_classes > 0) == bool(config.embedder)

    millions = sum(p.numel() for p in network.parameters()) / 1e6
    if name in PUBLISHED_MILLIONS:
        assert millions == pytest.approx(PUBLISHED_MILLIONS[name], rel=0.012)
    for stated in re.findall(r"# cost +([\d.]+) M parameters", "\n".join(header(name))):
        assert f"{millions:.1f}" == stated


def reference_images(name: str, target: Target) -> int | None:
    """ADM's evaluator compares with the statistics of all training images, precision and recall with 10,000 of them."""
    if "2105.05233" in target.source:
        return 10_000 if target.metric in ("precision", "recall") else 1_281_167
    return {"ddpm": 50_000, "edm": 50_000}.get(name.split("/")[0])


@each("name", DRAWING)
def test_what_was_published_is_measured_as_it_was_published(name, composed):
    """Every row of a published table carries its numbers, the header says the same, and the configuration does what the paper says."""
    config = composed(*chosen(name))
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    targets = read_targets(resolved["target"])
    lines = header(name)
    start = next(i for i, line in enumerate(lines) if line.startswith("# expected"))
    stop = next(i for i, line in enumerate(lines) if line.startswith("# cost"))
    expected = " ".join(lines[start:stop])
    assert bool(targets) == ("not published" not in expected and "no published number" not in expected)
    assert ("secondary source" in expected) == any(target.confidence == "secondary" for target in targets)
    for target in targets:
        assert target.value in {float(number) for number in re.findall(r"\d+\.\d+", expected)}
        assert target.source.partition(",")[0] in " ".join(lines)
        if target.at_step is None:
            assert target.selection, "a number of no single step says which it is"
        else:
            assert target.at_step <= config.trainer.max_steps
            assert target.at_step % config.eval.every == 0
        ours = {
            "samples": config.eval.num_samples,
            "steps": config.sampler.grid.steps,
            "sampler": config.sampler._target_.rsplit(".", 1)[-1],
            "guidance": ", ".join(sorted(set(config.guidance) - {"clip"})) or "none",
            "weights": "ema" if config.ema and "online" not in resolved["eval"]["tracks"] else "online",
            "extractor": config.extractor._target_.rsplit(".", 1)[-1].removesuffix("Extractor").lower(),
            "reference_images": reference_images(name, target),
            "quantization": "to_uint8_truncated",  # guided-diffusion's, by evaluate.py quantization=truncated
        }
        assert target.stated == {key: ours[key] for key in target.stated}


def test_only_the_digits_and_cells_that_a_table_leaves_out_have_no_published_number():
    without = {name for name in DRAWING if "target:" not in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")}
    assert {name for name in without if "/" not in name} == {
        *(f"{schedule}_{norm}" for schedule in ("cosine", "linear") for norm in ("adagn", "addgn")),
        "fashion_mnist",
        "own_images",
    }
    left_out = {"cosine_hybrid_T1000", "cosine_simple_T1000", "cosine_vlb_T1000", "linear_hybrid_T1000"}
    left_out |= {"linear_vlb_T1000", "linear_vlb_T4000"}
    rows = {f"iddpm/{data}/{row}" for data in ("cifar10", "imagenet64") for row in left_out}
    upsamplers = {"adm/upsampler_64_256", "adm/upsampler_128_512", "iddpm/upsampler_64_256"}  # with a model before them
    assert {name for name in without if "/" in name} == rows | upsamplers | {
        "dit/digits",
        "sr/cifar10_8to32",
        "sr/cifar10_8to32_alpha_bar",
        "sr/digits_4to8",
        "score_sde/digits/ve",
        "flow/digits",
        "ncsn/digits",
    }


@each("name", DRAWING)
def test_shrunk_it_takes_a_training_step_and_draws(name, composed, base):
    config = composed(*chosen(name)[:1], tiny(name))
    check_keys(config, base)
    torch.manual_seed(0)
    data = instantiate(config.data, _convert_="all")
    module = instantiate(config.module, _convert_="all")
    batch = next(iter(data.train_dataloader()))
    weights = dict(module.denoiser.named_parameters())
    for p in weights.values():
        if (
            p.abs().max() < 1e-4
        ):  # layers that start at zero, or near it, would hide from the gradient what is before them
            torch.nn.init.normal_(p, std=0.05)
    before = {key: p.detach().clone() for key, p in weights.items()}

    optimizers = module.configure_optimizers()
    losses = losses_of(module.objective, module.denoiser, batch.x0, batch.cond, ImageNoise(0, batch.number))
    losses.total.mean().backward()
    assert losses.total.isfinite().all()
    dead = [key for key, p in weights.items() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    assert not dead
    optimizers["optimizer"].step()
    optimizers["lr_scheduler"]["scheduler"].step()
    assert all(not torch.equal(before[key], p) for key, p in weights.items())

    cond = batch.cond
    for conditioning in module.objective.conditionings.values():
        cond = conditioning(cond, batch.x0, ImageNoise(0, batch.number))
    images = module.eval().sample(torch.arange(2), cond.select(slice(2)))
    assert images.shape == (2, *batch.x0.shape[1:])
    assert images.isfinite().all()


SCHEDULE = {"schedule._target_", "schedule.beta_start", "schedule.beta_end", "schedule.offset", "schedule.max_beta"}
HEADS = "network.attention.heads"
CHANGES = {
    ("cosine_adagn", "linear_adagn"): SCHEDULE,
    ("cosine_adagn", "cosine_addgn"): {"network.norm._target_"},
    ("cosine_adagn", "linear_addgn"): SCHEDULE | {"network.norm._target_"},
    ("adm/table1/base", "adm/table1/depth4"): {"network.width", "network.depth"},
    ("adm/table1/base", "adm/table1/heads4"): {f"{HEADS}.count"},
    ("adm/table1/base", "adm/table1/attn_multi"): {"network.attention_resolutions"},
    ("adm/table1/base", "adm/table1/biggan"): {"network.resample._target_"},
    ("adm/table1/base", "adm/table1/rescale"): {"network.residual_scale"},
    ("adm/table1/base", "adm/table1/combined"): {
        "network.attention_resolutions",
        "network.resample._target_",
        f"{HEADS}.count",
    },
    ("adm/table2/heads1", "adm/table2/heads2"): {f"{HEADS}.count"},
    ("adm/table2/heads1", "adm/table2/heads4"): {f"{HEADS}.count"},
    ("adm/table2/heads1", "adm/table2/heads8"): {f"{HEADS}.count"},
    ("adm/table2/heads1", "adm/table2/chhead32"): {f"{HEADS}._target_", f"{HEADS}.count", f"{HEADS}.channels"},
    ("adm/table2/chhead32", "adm/table2/chhead64"): {f"{HEADS}.channels"},
    ("adm/table2/chhead32", "adm/table2/chhead128"): {f"{HEADS}.channels"},
    ("adm/table3/adagn", "adm/table3/addgn"): {"network.norm._target_"},
    ("adm/table2/chhead64", "adm/table3/adagn"): set(),
    # the confound of the published table: dropout changes with the schedule
    ("iddpm/cifar10/linear_hybrid_T4000", "iddpm/cifar10/cosine_hybrid_T4000"): SCHEDULE | {"network.dropout"},
    ("iddpm/imagenet64/linear_hybrid_T4000", "iddpm/imagenet64/cosine_hybrid_T4000"): SCHEDULE,
    ("iddpm/imagenet64/linear_simple_T1000", "iddpm/imagenet64/linear_simple_T4000"): {
        "schedule.steps",
        "schedule.time_scale",
        "sampler.grid.steps",
    },
    ("iddpm/imagenet64/cosine_hybrid_T4000", "iddpm/imagenet64/cosine_hybrid_T4000_1500K"): {"trainer.max_steps"},
    ("edm/cifar10/b_hyper", "edm/cifar10/c_capacity"): {"network.channel_mult"},
    ("edm/cifar10/c_capacity", "edm/cifar10/d_preconditioning"): {
        "parameterization._target_",
        "parameterization.sigma_data",
        "objective.weighting._target_",
    },
    ("edm/cifar10/d_preconditioning", "edm/cifar10/e_loss"): {
        "schedule._target_",
        "schedule.beta_d",
        "schedule.beta_min",
        "schedule.time_min",
        "schedule.sigma_max",
        "schedule.rho",
        "objective.weighting._target_",
        "objective.weighting.sigma_data",
        "objective.time_sampler._target_",
        "objective.time_sampler.mean",
        "objective.time_sampler.std",
    },
    ("cfg/imagenet64_p10", "cfg/imagenet64_p50"): {"condition_dropout"},
}


@each(("one", "other"), CHANGES)
def test_a_row_changes_what_it_says_and_nothing_else(one, other, composed):
    assert changed(composed(f"+experiment={one}"), composed(f"+experiment={other}")) == CHANGES[one, other]


def test_rows_of_a_table_keep_their_difference_when_shrunk(composed):
    """But for those whose difference is size."""
    seen: dict[tuple[str, str], str] = {}
    for name in DRAWING:
        if not name.endswith(
            ("depth4", "attn_multi", "_1500K", "c_capacity", "imagenet512", "lsun_cat", "lsun_horse", "imagenet256/l2")
        ):
            key = str(Path(name).parent), repr(sorted(flat(composed(*chosen(name)[:1], tiny(name))).items()))
            assert key not in seen, f"{name} and {seen[key]} are the same when shrunk"
            seen[key] = name


def test_the_command_line_has_the_last_word(composed):
    config = composed("+experiment=adm/table1/heads4", "network/norm=addgn", "network.attention.heads.count=8")
    assert config.network.norm._target_.endswith("AdditiveGroupNorm")
    assert config.network.attention.heads.count == 8
