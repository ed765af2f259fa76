"""Studies that put several tables together: each row has the number of the table that it names, and is drawn as that table says."""

from pathlib import Path

from difflab.config.keys import compose_or_explain, composing
from difflab.studies import load_study
from one_pass import each

ROOT = Path(__file__).parents[2] / "experiments"
SIT, DPM = load_study(ROOT / "sit_tables" / "study.yaml"), load_study(ROOT / "dpm_solver_curves" / "study.yaml")
COEFFICIENTS = {"kl": "SBDM", "sigma": "NoiseScale", "sin2": "SquaredSine", "kleta": "SBDM"}

SIT_ODE = {  # Ma et al. 2024, arXiv 2401.08740: FID, table
    "ddpm-ddim": (44.2, 2),
    "vp-score-ode": (43.6, 3),
    "vp-weighted-score-ode": (39.1, 3),
    "vp-ode": (39.8, 3),
    "linear-ode": (34.8, 4),
    "gvp-ode": (34.6, 4),
    "s-ode": (58.97, 8),
    "l-ode": (20.01, 8),
    "xl-ode": (18.04, 8),
    "s-sde": (57.64, 8),
    "l-sde": (18.79, 8),
    "xl-sde": (17.19, 8),
    "dit-s": (68.4, 1),
    "dit-b": (43.5, 1),
    "dit-l": (23.3, 1),
    "dit-xl": (19.5, 1),
}
SIT_SDE = {  # table 6, in the order of COEFFICIENTS
    "vp": (37.8, 38.7, 39.2, 41.1),
    "linear": (33.6, 33.5, 33.3, 33.0),
    "gvp": (32.9, 33.4, 33.6, 33.2),
}
IN_THE_PAPER = {  # Lu et al. 2022, arXiv 2206.00927, sections 5.1 and 5.2
    "vp-fast-10": 4.70,
    "vp-fast-12": 3.75,
    "vp-fast-15": 3.24,
    "vp-fast-20": 2.87,
    "fast-12": 4.65,
}
RATIOS = {  # Song et al. 2021, arXiv 2011.13456, table 5
    "score_sde_table1": {"ancestral": 0.01, "reverse_diffusion": 0.01, "reverse_flow": 0.04, "C2000": 0.27},
    "score_sde_table1_ve": {"ancestral": 0.17, "reverse_diffusion": 0.16, "reverse_flow": 0.17, "C2000": 0.22},
}


def drawn(draw):
    with composing():
        return compose_or_explain("evaluate", [*draw, "checkpoint=RUN"])


def test_sits_rows_have_the_numbers_of_their_tables():
    told = {row.name: row.published["fid"] for row in (*SIT.rows.values(), *SIT.cited.values())}
    tables = SIT_ODE | {
        f"{path}-sde-{w}": (fid, 6) for path, fids in SIT_SDE.items() for w, fid in zip(COEFFICIENTS, fids, strict=True)
    }
    assert {name: (target.value, target.source, target.confidence) for name, target in told.items()} == {
        name: (fid, f"arXiv 2401.08740, table {table}", "paper") for name, (fid, table) in tables.items()
    }


def test_sits_stochastic_rows_have_the_coefficient_of_their_column():
    for path in SIT_SDE:
        for w, kind in COEFFICIENTS.items():
            sampler = drawn(SIT.rows[f"{path}-sde-{w}"].draw).sampler
            assert sampler.diffusion._target_.endswith(f".{kind}")
            assert (sampler.diffusion.get("eta", 0) > 0) == (w == "kleta")
            assert (sampler.grid.last, sampler.grid.begin) == (0.04, 0.999 if w == "kl" and path != "vp" else 1.0)


def test_what_dpm_solvers_paper_says_is_told_from_what_others_say_and_from_memory():
    told = {name: row.published["fid"] for name, row in DPM.rows.items() if row.published}
    assert {name: target.value for name, target in told.items() if target.confidence == "paper"} == IN_THE_PAPER
    readme = (ROOT / "dpm_solver_curves" / "README.md").read_text(encoding="utf-8")
    forms = {"paper": "**{:.2f}**", "unverified": "({:.2f})", "secondary": "{:.2f}"}
    missing = [name for name, target in told.items() if forms[target.confidence].format(target.value) not in readme]
    assert not missing


@each("name", RATIOS)
def test_correctors_have_the_signal_to_noise_ratio_of_table_5(name):
    rows = load_study(ROOT / name / "study.yaml").rows
    for key, snr in RATIOS[name].items():
        sampler = drawn(rows[key if key in rows else f"PC1000-{key}"].draw).sampler
        assert sampler.corrector.snr == snr
        assert sampler.corrector.steps == (2 if key == "C2000" else 1)
