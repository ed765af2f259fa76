"""The studies of experiments/: they can be read and planned, and their published numbers are the papers'."""

import math
from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from difflab.config.keys import compose_or_explain, composing
from difflab.config.options import gathered, of_first_stage, stage_words
from difflab.config.resolve import resolve_row
from difflab.evaluation import read_targets
from difflab.evaluation.published import Target
from difflab.sampling import SamplingOptions
from difflab.studies import Row, Study, load_study
from difflab.studies.planning.confounds import changed_together, check_distinct, check_row
from one_pass import each

ROOT = Path(__file__).parents[2]
STUDIES = {path.parent.name: load_study(path) for path in sorted((ROOT / "experiments").glob("*/study.yaml"))}

ADM_TABLE_1 = {
    "base": (15.33, 13.21),
    "depth4": (-0.21, -0.48),
    "heads4": (-0.54, -0.82),
    "attn_multi": (-0.72, -0.66),
    "biggan": (-1.20, -1.21),
    "rescale": (0.16, 0.25),
    "combined": (-3.14, -3.00),
}
"""FID after 700K and 1200K steps, below the base as differences (Dhariwal and Nichol 2021)."""

ADM_TABLE_2 = {
    "heads1": 14.08,
    "heads2": -0.50,
    "heads4": -0.97,
    "heads8": -1.17,
    "chhead32": -1.36,
    "chhead64": -1.03,
    "chhead128": -1.08,
}

ADM_TABLE_4 = {  # FID, sFID, Inception Score, precision, recall
    "cond": (10.94, 6.02, 100.98, 0.69, 0.63),
    "cond-s1.0": (4.59, 5.25, 186.70, 0.82, 0.52),
    "cond-s10.0": (9.11, 10.93, 283.92, 0.88, 0.32),
    "uncond": (26.21, 6.35, 39.70, 0.61, 0.63),
    "uncond-s1.0": (33.03, 6.99, 32.92, 0.56, 0.65),
    "uncond-s10.0": (12.00, 10.40, 95.41, 0.76, 0.44),
}

ADM_TABLE_5 = {  # FID, sFID, precision, recall
    "imagenet64": {"adm": (2.61, 3.77, 0.73, 0.63), "dropout": (2.07, 4.29, 0.74, 0.63)},
    "imagenet128": {
        "adm": (5.91, 5.09, 0.70, 0.65),
        "adm-g-25": (5.98, 7.04, 0.78, 0.51),
        "adm-g": (2.97, 5.09, 0.78, 0.59),
    },
    "imagenet256": {
        "adm": (10.94, 6.02, 0.69, 0.63),
        "adm-g-25": (5.44, 5.32, 0.81, 0.49),
        "adm-g": (4.59, 5.25, 0.82, 0.52),
    },
    "imagenet512": {
        "adm": (23.24, 10.19, 0.73, 0.60),
        "adm-g-25": (8.41, 9.67, 0.83, 0.47),
        "adm-g": (7.72, 6.57, 0.87, 0.42),
    },
    "lsun_horse": {"adm": (2.95, 5.94, 0.69, 0.55), "dropout": (2.57, 6.81, 0.71, 0.55)},
}

ADM_TABLE_6 = {  # FID, sFID, Inception Score, precision, recall; steps of the stages
    "256": {
        "adm": (10.94, 6.02, 100.98, 0.69, 0.63),
        "adm-u": (7.49, 5.13, 127.49, 0.72, 0.63),
        "adm-g": (4.59, 5.25, 186.70, 0.82, 0.52),
        "adm-g-u": (3.94, 6.14, 215.84, 0.83, 0.53),
    },
    "512": {
        "adm": (23.24, 10.19, 58.06, 0.73, 0.60),
        "adm-u": (9.96, 5.62, 121.78, 0.75, 0.64),
        "adm-g": (7.72, 6.57, 172.71, 0.87, 0.42),
        "adm-g-u-25-25": (5.96, 12.10, 187.87, 0.81, 0.54),
        "adm-g-u-250-25": (4.11, 9.57, 219.29, 0.83, 0.55),
        "adm-g-u": (3.85, 5.86, 221.72, 0.84, 0.53),
    },
}

ADM_TABLE_14 = {  # classifier scale in 250 steps and in 25
    "imagenet128": (0.5, 1.25),
    "imagenet256": (1.0, 2.5),
    "imagenet512": (4.0, 9.0),
}

ADM_TABLE_15 = {  # steps in each fifth of the chain
    "50-50-50-50-50": 2.31,
    "70-60-50-40-30": 2.17,
    "90-50-40-40-30": 2.10,
    "90-60-50-30-20": 2.09,
    "80-60-50-30-30": 2.09,
    "90-50-50-30-30": 2.07,
    "100-50-40-30-30": 2.03,
    "90-60-60-20-20": 2.02,
}

IDDPM_TABLE_1 = {  # bits/dim, FID (Nichol and Dhariwal 2021)
    "linear_simple_T1000": (3.99, 32.5),
    "linear_simple_T4000": (3.77, 31.3),
    "linear_hybrid_T4000": (3.66, 32.2),
    "cosine_simple_T4000": (3.68, 27.0),
    "cosine_hybrid_T4000": (3.62, 28.0),
    "cosine_vlb_T4000": (3.57, 56.7),
    "cosine_hybrid_T4000_1500K": (3.57, 19.2),
    "cosine_vlb_T4000_1500K": (3.53, 40.1),
}

IDDPM_TABLE_2 = {
    "linear_simple_T1000": (3.73, 3.29),
    "linear_simple_T4000": (3.37, 2.90),
    "linear_hybrid_T4000": (3.26, 3.07),
    "cosine_simple_T4000": (3.26, 3.05),
    "cosine_hybrid_T4000": (3.17, 3.19),
    "cosine_vlb_T4000": (2.94, 11.47),
}

DDIM_STEPS = (10, 20, 50, 100, 1000)
DDIM_TABLE_1 = {  # FID (Song et al. 2021)
    "eta0.0": (13.36, 6.84, 4.67, 4.16, 4.04),
    "eta0.2": (14.04, 7.11, 4.77, 4.25, 4.09),
    "eta0.5": (16.66, 8.35, 5.25, 4.46, 4.29),
    "eta1.0": (41.07, 18.36, 8.01, 5.78, 4.73),
    "ddpm": (367.43, 133.37, 32.72, 9.99, 3.17),
}

CFG_TABLE_1 = {  # FID and Inception Score for p = 0.1, 0.2, 0.5 (Ho and Salimans 2022)
    0.0: ((1.80, 1.80, 2.21), (53.71, 52.90, 47.61)),
    0.1: ((1.55, 1.62, 1.91), (66.11, 64.58, 56.10)),
    0.2: ((2.04, 2.10, 2.08), (78.91, 76.99, 65.60)),
    0.3: ((3.03, 2.93, 2.65), (92.80, 88.64, 74.92)),
    0.4: ((4.30, 4.00, 3.44), (106.2, 101.11, 84.27)),
    0.5: ((5.74, 5.19, 4.34), (119.3, 112.15, 92.95)),
    0.6: ((7.19, 6.48, 5.27), (131.1, 122.13, 102.0)),
    0.7: ((8.62, 7.73, 6.23), (141.8, 131.6, 109.8)),
    0.8: ((10.08, 8.90, 7.25), (151.6, 140.82, 116.9)),
    0.9: ((11.41, 10.09, 8.21), (161.0, 150.26, 124.6)),
    1.0: ((12.6, 11.21, 9.13), (170.1, 158.29, 131.1)),
    2.0: ((21.03, 18.79, 16.16), (225.5, 212.98, 183.0)),
    3.0: ((24.83, 22.36, 19.75), (250.4, 237.65, 208.9)),
    4.0: ((26.22, 23.84, 21.48), (260.2, 248.97, 225.1)),
}

EDM_TABLE_2 = {"a_baseline": 2.48, "b_hyper": 2.18, "c_capacity": 2.08, "d_preconditioning": 2.09, "e_loss": 1.88}


def changes(table: dict[str, float]) -> dict[str, dict[str, float]]:
    """A column of differences to its first row -> FIDs."""
    first = next(iter(table.values()))
    return {name: {"fid": value if value == first else first + value} for name, value in table.items()}


PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "adm_table1": {
        name: {"fid": last["fid"], "fid_at_700k": early["fid"]}
        for (name, early), last in zip(
            changes({row: fids[0] for row, fids in ADM_TABLE_1.items()}).items(),
            changes({row: fids[1] for row, fids in ADM_TABLE_1.items()}).values(),
            strict=True,
        )
    },
    "adm_table2": changes(ADM_TABLE_2),
    "adm_table4": {
        row: dict(zip(("fid", "sfid", "is", "precision", "recall"), numbers, strict=True))
        for row, numbers in ADM_TABLE_4.items()
    },
    **{
        f"adm_table5_{data}": {
            row: dict(zip(("fid", "sfid", "precision", "recall"), numbers, strict=True))
            for row, numbers in rows.items()
        }
        for data, rows in ADM_TABLE_5.items()
    },
    **{
        f"adm_table6_imagenet{size}": {
            row: dict(zip(("fid", "sfid", "is", "precision", "recall"), numbers, strict=True))
            for row, numbers in rows.items()
        }
        for size, rows in ADM_TABLE_6.items()
    },
    "adm_table15": {row: {"fid": fid} for row, fid in ADM_TABLE_15.items()},
    "adm_table3": {"adagn": {"fid": 13.06}, "addgn": {"fid": 15.08}},
    "iddpm_imagenet64": {row: {"bits_per_dim": bits, "fid": fid} for row, (bits, fid) in IDDPM_TABLE_1.items()},
    "iddpm_cifar10": {row: {"bits_per_dim": bits, "fid": fid} for row, (bits, fid) in IDDPM_TABLE_2.items()},
    "score_sde_table1": {
        row: {"fid": fid}
        for row, fid in {
            "P1000-reverse_diffusion": 3.21,
            "PC1000-reverse_diffusion": 3.18,
            "P1000-ancestral": 3.24,
            "PC1000-ancestral": 3.21,
            "P1000-reverse_flow": 3.59,
            "PC1000-reverse_flow": 3.06,
            "C2000": 19.06,
        }.items()
    },
    "score_sde_table1_ve": {
        row: {"fid": fid}
        for row, fid in {
            "P1000-reverse_diffusion": 4.79,
            "PC1000-reverse_diffusion": 3.60,
            "P1000-ancestral": 4.98,
            "PC1000-ancestral": 3.62,
            "P1000-reverse_flow": 15.41,
            "PC1000-reverse_flow": 3.51,
            "C2000": 20.43,
        }.items()
    },
    "ddim_cifar10": {
        f"{row}-S{steps}": {"fid": fid}
        for row, fids in DDIM_TABLE_1.items()
        for steps, fid in zip(DDIM_STEPS, fids, strict=True)
    },
    "cfg_imagenet64": {
        f"p{p}-w{w}": {"fid": fids[i]} | {"is": scores[i]}
        for w, (fids, scores) in CFG_TABLE_1.items()
        for i, p in enumerate((10, 20, 50))
    },
    "edm_cifar10": {row: {"fid": fid} for row, fid in EDM_TABLE_2.items()},
}


@cache
def of_experiment(name: str) -> dict[str, Target]:
    node = yaml.safe_load((ROOT / "conf" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {target.name: target for target in read_targets(node.get("target", {}))}


def targets(row: Row) -> dict[str, Target]:
    """What the row's numbers are put beside."""
    return dict(row.published) or of_experiment(row.experiment)


@each("name", PUBLISHED)
def test_published_numbers_are_the_papers(name):
    study = STUDIES[name]
    assert study.rows.keys() == PUBLISHED[name].keys()
    for row in study.rows.values():
        found = targets(row)
        assert found.keys() == PUBLISHED[name][row.name].keys(), row.name
        for key, value in PUBLISHED[name][row.name].items():
            assert math.isclose(found[key].value, value, abs_tol=1e-9), (row.name, key)
            assert found[key].source == study.source
        assert {target.metric for target in found.values()} <= set(study.evaluation.metrics)


@each("name", PUBLISHED)
def test_it_asks_claims_and_describes(name):
    study = STUDIES[name]
    assert study.seeds == (0, 1, 2)
    assert study.question.endswith("?")
    assert study.claim
    readme = (ROOT / "experiments" / name / "README.md").read_text(encoding="utf-8")
    for part in ("## Published", "## Run", f"python study.py {name} plan", "## Assumed", "FLOP"):
        assert part in readme
    fids = {targets(row)["fid"].value for row in study.rows.values() if row.name == study.baseline}
    assert all(f"{fid:g}" in readme for fid in fids)


@cache
def resolved(experiment: str, overrides: tuple[str, ...]):
    return resolve_row([f"+experiment={experiment}", *overrides])


def of_row(study: Study, row: Row):
    return resolved(row.experiment, (*study.overrides, *row.overrides))


@each("name", STUDIES)
def test_rows_differ_in_what_they_declare_and_in_nothing_else(name):
    study = STUDIES[name]
    for row in study.compared():
        against = study.rows[row.against]
        check_row(row, of_row(study, row), against, of_row(study, against))
    check_distinct({row.name: (row, of_row(study, row)) for row in study.rows.values()})


def test_the_confound_of_improved_ddpm_is_declared_and_named():
    study = STUDIES["iddpm_cifar10"]
    assert changed_together(study.rows["cosine_simple_T4000"]) == ("schedule", "network.dropout")
    assert "dropout is 0.1 with the linear schedule and 0.3 with the cosine" in (study.claim or "")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("ddim_cifar10", ("eta0.0-S100", "eta1.0-S1000", "ddpm-S10")),
        ("cfg_imagenet64", ("p10-w0.0", "p50-w4.0")),
        ("iddpm_cifar10", ("cosine_vlb_T4000",)),
    ],
)
def test_evaluate_takes_what_rows_draw(name, rows):
    study = STUDIES[name]
    with composing():
        for row in rows:
            drawn = study.rows[row].draw
            config = compose_or_explain("evaluate", [*study.evaluation.overrides, *drawn, "checkpoint=RUN"])
            stated = targets(study.rows[row])["fid"].stated
            assert config.num_samples == stated["samples"]
            if "sampler" in stated and drawn:
                assert config.sampler._target_.endswith(str(stated["sampler"]))
                assert config.steps == stated["steps"]
                assert config.eta == stated.get("eta")
                assert config.sampler.grid._target_.endswith("UniformGrid" if config.steps == 1000 else "QuadraticGrid")
            if name == "cfg_imagenet64":
                assert f"w{config.scale - 1:.1f}" == row.split("-")[1]
                assert stated["guidance"] == ("none" if config.scale == 1 else "classifier_free")


@pytest.mark.parametrize("data", ADM_TABLE_14)
def test_adms_rows_are_guided_by_the_scales_of_table_14(data):
    """w is one more than ADM's classifier scale; 250 steps shift the mean, 25 are DDIM's with the score form."""
    study = STUDIES[f"adm_table5_{data}"]
    for name, kind, target, scale in (
        ("adm-g", "mean_shift_at_image", "MeanShiftAtImage", ADM_TABLE_14[data][0]),
        ("adm-g-25", "classifier", "ClassifierGuidance", ADM_TABLE_14[data][1]),
    ):
        row = study.rows[name]
        with composing():
            config = compose_or_explain("evaluate", [*study.evaluation.overrides, *row.draw, "checkpoint=RUN"])
        assert list(config.guidance) == ["clip", kind], "clipped before it is guided, as in the published code"
        assert config.guidance[kind]._target_.endswith(target)
        assert config.guidance[kind].scale == scale + 1
        size = data.removeprefix("imagenet")
        assert config.guidance[kind].classify.checkpoint == f"openai:models/{size}x{size}_classifier.pt"
        stated = targets(row)["fid"].stated
        assert (stated["guidance"], stated["samples"]) == (kind, config.num_samples)
        assert stated["steps"] == (config.steps or 250)


@pytest.mark.parametrize("size", ADM_TABLE_6)
def test_adms_stacks_enlarge_what_the_row_has_trained(size, monkeypatch):
    monkeypatch.setenv(f"DIFFLAB_UPSAMPLER_{size}", "UPSAMPLER")
    for row in STUDIES[f"adm_table6_imagenet{size}"].rows.values():
        stated = targets(row)["fid"].stated
        with composing():
            config = compose_or_explain("evaluate", [*gathered(row.draw), "checkpoint=RUN"])
        if not row.name.endswith(("-u", "25")):
            assert not config.stages
            continue
        assert list(config.stages) == ["RUN", "UPSAMPLER"]
        base, upsampler = stage_words(OmegaConf.to_container(config.stage), 2, SamplingOptions)  # type: ignore[arg-type]
        steps, kinds = str(stated["steps"]).split(", "), str(stated["guidance"]).split(", ")
        assert f"steps={steps[1]}" in upsampler
        assert steps[0] == "250" or f"steps={steps[0]}" in base
        assert not any(word.startswith("guidance") for word in upsampler), "only the small model is guided"
        with composing():
            first = compose_or_explain("evaluate", [*of_first_stage(row.draw), "checkpoint=RUN"])
        assert list(first.get("guidance") or {}) == ([] if kinds[0] == "none" else ["clip", kinds[0]])


def test_the_steps_of_table_15_are_250():
    study = STUDIES["adm_table15"]
    for name, row in study.rows.items():
        with composing():
            config = compose_or_explain("evaluate", [*study.evaluation.overrides, *row.draw, "checkpoint=RUN"])
        assert config.steps == name.replace("-", ",") == targets(row)["fid"].stated["steps"]
        assert sum(map(int, config.steps.split(","))) == 250


def test_rows_that_only_draw_differently_share_their_training():
    study = STUDIES["ddim_cifar10"]
    assert {(row.experiment, row.overrides) for row in study.rows.values()} == {("ddpm/cifar10", ())}
    study = STUDIES["cfg_imagenet64"]
    assert len({(row.experiment, row.overrides) for row in study.rows.values()}) == 3


def test_the_headline_cites_what_everybody_quotes():
    """Dhariwal and Nichol 2021, tables 5 and 6; 12.26 is quoted as 12.3."""
    study = STUDIES["imagenet256_headline"]
    quoted = {"Improved DDPM": 12.26, "ADM": 10.94, "ADM-G": 4.59, "ADM-G, ADM-U": 3.94}
    assert {row.label: row.published["fid"].value for row in study.cited.values()} == quoted
    assert study.order == [*study.cited, "own", "own-g"]
    assert all(target.confidence == "paper" for row in study.cited.values() for target in row.published.values())
