"""Numbers of runs and files: equal wherever they are measured, refused where not comparable; wrong input is named before any work."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from difflab.cli.evaluate import evaluate
from difflab.config.paths import config_directory
from difflab.data import Digits, open_image_set
from difflab.evaluation import ReferenceStatistics, Results, save_statistics
from difflab.features import DigitsExtractor
from difflab.metrics import FeatureMetric, PairMetric
from running import Outcome, composed, sample_from, train_small

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
FEW = ("num_samples=40", "batch_size=16", "replicates=8", "accelerator=cpu")
ONE_PART = "metric.inception_score.splits=1"
PUBLISHED = "+target.fd_digits={value: 10, source: a paper, confidence: paper, samples: 5000, steps: 4}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Outcome]:
    """Two seeds."""
    root = tmp_path_factory.mktemp("runs")
    return [train_small(root, "condition_dropout=0.2", f"seed={seed}", PUBLISHED) for seed in (0, 1)]


@pytest.fixture(scope="module")
def images(runs, tmp_path_factory) -> Path:
    """What sample.py writes of the first run."""
    out = tmp_path_factory.mktemp("images")
    sample_from(runs[0].run.path, out, "num_samples=40", "batch_size=16")
    return out


@pytest.fixture(autouse=True)
def _one_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def evaluated(*overrides: object) -> list[str]:
    """`python evaluate.py ...`; what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluate(composed("evaluate", *map(str, overrides)))
    return printed.getvalue().splitlines()


def results_of(printed: list[str], samples: int = 40) -> Results:
    """Of so many samples."""
    (path,) = [line.split()[1] for line in printed if line.startswith("results ")]
    results = Results.from_json(Path(path).read_text(encoding="utf-8"))
    return Results([m for m in results.measurements if m.samples == samples], results.subject)


def refused(capsys, *overrides: object) -> str:
    with pytest.raises(SystemExit):
        evaluated(*overrides)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "name", sorted({path.stem for path in (config_directory() / "metric").glob("*.yaml")} - {"none"})
)
def test_every_metric_can_be_chosen(name):
    config = composed("evaluate", f"metric=[{name}]")
    assert list(config.metric) == [name]
    assert isinstance(instantiate(config.metric[name]), FeatureMetric | PairMetric)


def test_a_run_has_the_numbers_and_the_fingerprints_of_its_own_evaluation(runs):
    results = results_of(evaluated(f"checkpoint={runs[0].run.path}", *FEW, ONE_PART))
    scores, protocols = runs[0].run.last_scores(), json.loads(runs[0].run.protocol.read_text(encoding="utf-8"))
    for metric in ("fd_digits", "is_digits"):
        name = f"eval/warm_up/{metric}@40"
        assert results[metric].value == pytest.approx(scores[name], rel=1e-5)
        assert results[metric].protocol.fingerprint == protocols[name]["fingerprint"]
        assert results[metric].info.to_json() == protocols[name]["info"]
        low, high = results[metric].interval()
        assert low < results[metric].value < high
    assert results.subject["step"] == 12
    assert 0 <= results["precision_digits"].value <= 1


def test_what_is_published_stands_beside_ours_with_what_differs(runs):
    printed = "\n".join(evaluated(f"checkpoint={runs[0].run.path}", *FEW))
    (line,) = [line for line in printed.splitlines() if "a paper" in line]
    assert line.startswith("fd_digits")
    assert "samples 40 (published 5000)" in " ".join(printed.split())
    assert "steps 4 (published" not in printed


def test_another_metric_is_added_and_nothing_is_drawn_again(runs, monkeypatch):
    first = results_of(evaluated(f"checkpoint={runs[0].run.path}", *FEW))
    monkeypatch.setattr("difflab.sampling.drawer.draw_from", lambda *_, **__: pytest.fail("an image was drawn again"))
    second = results_of(evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[density_coverage]"))
    names = {m.metric for m in second.measurements}
    assert names >= {m.metric for m in first.measurements} | {"density_digits", "coverage_digits"}


def test_precision_and_recall_take_fewer_images_of_the_reference_than_the_distance(runs, capsys):
    """As ADM's evaluator does: FID to the statistics of all, precision and recall against 10,000; here 60."""
    of_run = (f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet,precision_recall]")
    together = results_of(evaluated(*of_run, "metric.precision_recall.reference_images=60", "num_samples=36"), 36)
    of_all, of_sixty = (
        results_of(evaluated(*of_run, *more, "num_samples=36"), 36).measurements
        for more in ((), ("reference_images=60",))
    )

    def one(measurements, metric, images):
        (found,) = [m for m in measurements if m.metric == metric and m.protocol.fields["reference.images"] == images]
        return found.value, found.protocol.fingerprint

    for metric, images in (("fd_digits", 1797), ("precision_digits", 60), ("recall_digits", 60)):
        measured = one(together.measurements, metric, images)
        alone = one(of_all if images == 1797 else of_sixty, metric, images)
        assert measured == (pytest.approx(alone[0], rel=1e-9), alone[1])
    assert one(of_sixty, "precision_digits", 60) != one(of_all, "precision_digits", 1797)
    said = refused(capsys, *of_run, "metric.precision_recall.reference_images=2000")
    assert "precision_digits is to be compared with 2,000 images of the reference, and it has 1,797" in said


def test_more_images_and_fewer_are_other_numbers_of_the_same_images(runs):
    printed = evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet]")
    fewer = evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet]", "num_samples=20")
    assert results_of(fewer)["fd_digits"].value == results_of(printed)["fd_digits"].value
    assert results_of(fewer, 20)["fd_digits"].value != results_of(printed)["fd_digits"].value
    assert [line for line in printed if line.startswith("fd_digits@40")]
    assert [line for line in fewer if line.startswith("fd_digits@20")]


def test_files_of_the_same_images_have_the_same_numbers(runs, images, tmp_path):
    of_run = results_of(evaluated(f"checkpoint={runs[0].run.path}", *FEW))["fd_digits"]
    against = ("data=digits", "extractor=digits", *FEW[1:])
    of_folder = results_of(evaluated(f"samples={images}", f"out={tmp_path / 'folder'}", *against))["fd_digits"]
    assert of_folder.value == pytest.approx(of_run.value, rel=1e-6)
    assert of_folder.protocol == of_run.protocol  # sample.py's folder says how they were drawn
    file = next(images.glob("*.npz"))
    of_file = results_of(evaluated(f"samples={file}", f"out={tmp_path / 'file'}", *against))["fd_digits"]
    assert of_file.protocol == of_run.protocol
    shutil.copy(file, tmp_path / "foreign.npz")
    stated = "stated={steps: 4, track: warm_up}"
    foreign = results_of(
        evaluated(f"samples={tmp_path / 'foreign.npz'}", f"out={tmp_path / 'foreign'}", stated, *against)
    )["fd_digits"]
    assert foreign.value == of_file.value
    fields = {d.field for d in foreign.protocol.differences(of_run.protocol)}
    assert {"sampler.eta", "seeds"} <= fields
    assert not {"sampler.grid.steps", "track"} & fields


@pytest.mark.parametrize("earlier", [False, True])
def test_images_that_are_not_those_that_sample_py_has_drawn_are_no_set_of_it(images, tmp_path, capsys, earlier):
    shutil.copytree(images, tmp_path / "set")
    (file,) = (tmp_path / "set").glob("*.npz")
    if earlier:  # an earlier version wrote down how many there are, and nothing of their content
        complete = tmp_path / "set" / "complete.json"
        content = json.loads(complete.read_text(encoding="utf-8"))
        content.pop("content")
        complete.write_text(json.dumps(content), encoding="utf-8")
    with np.load(file) as drawn:
        pixels, labels = drawn["arr_0"][: 39 if earlier else 40].copy(), drawn["arr_1"][: 39 if earlier else 40]
    pixels[3, 4, 4, 0] ^= 1
    np.savez(file, pixels, labels)
    for samples in (tmp_path / "set", file):
        message = refused(capsys, f"samples={samples}", "data=digits", "extractor=digits", *FEW[1:])
        assert f"{len(pixels)} images that are not the 40 that were drawn there" in message
    shutil.move(file, tmp_path / "elsewhere.npz")
    command = (f"samples={tmp_path / 'elsewhere.npz'}", f"out={tmp_path / 'out'}", "data=digits", "extractor=digits")
    assert "seeds" not in results_of(evaluated(*command, *FEW[1:]), len(pixels))["fd_digits"].protocol.fields


def test_a_folder_holds_the_numbers_of_one_subject(runs, images, tmp_path, capsys):
    common = ("data=digits", "extractor=digits", "metric=[frechet]", f"out={tmp_path / 'out'}", *FEW[1:])
    np.savez(tmp_path / "other.npz", np.random.default_rng(0).integers(0, 255, (80, 8, 8, 1), np.uint8))
    evaluated(f"samples={images}", *common)
    before = (tmp_path / "out" / "results.json").read_bytes()
    assert f"holds the numbers of {images}" in refused(capsys, f"samples={tmp_path / 'other.npz'}", *common)
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_a_score_needs_no_reference_and_has_none_in_its_protocol(runs, images, tmp_path):
    alone = ("extractor=digits", "metric=[inception_score]", ONE_PART, *FEW[1:])
    found = results_of(evaluated(f"samples={images}", f"out={tmp_path}", *alone))["is_digits"]
    assert not [field for field in found.protocol.fields if field.startswith("reference")]
    of_run = results_of(
        evaluated(
            f"checkpoint={runs[0].run.path}", *FEW, ONE_PART, "metric=[inception_score]", f"out={tmp_path / 'run'}"
        )
    )
    assert found.protocol == of_run["is_digits"].protocol


def test_different_protocols_are_not_compared_unless_waived(runs, tmp_path, capsys):
    ours = tmp_path / "ten", tmp_path / "more"
    for out, steps in zip(ours, (4, 5), strict=True):
        evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet]", f"out={out}", f"steps={steps}")
    both = f"compare=[{ours[0]},{ours[1]}]"
    message = refused(capsys, both)
    assert "sampler.grid.steps (4 against 5)" in message
    assert "waive=[sampler.grid.steps]" in message
    printed = evaluated(both, "waive=[sampler.grid.steps]")
    assert printed[-1] == "waived: sampler.grid.steps (4 against 5)"
    values = [Results.from_json((out / "results.json").read_text(encoding="utf-8"))["fd_digits"].value for out in ours]
    assert f"{values[1] - values[0]:+.4g}" in "\n".join(printed)


def test_seeds_together_say_what_is_training_and_what_is_sampling(runs):
    paths = [run.run.path for run in runs]
    printed = evaluated(f"checkpoint=[{paths[0]},{paths[1]}]", *FEW)
    values = [results_of(evaluated(f"checkpoint={path}", *FEW))["fd_digits"].value for path in paths]
    row = next(line for line in printed[printed.index("2 runs together") :] if line.startswith("fd_digits@40")).split()
    assert float(row[1]) == pytest.approx(np.mean(values), rel=1e-3)
    assert row[-1] == "2"


def test_a_sweep_chooses_on_one_half_and_reports_on_the_other(runs, tmp_path):
    request = (f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet,inception_score]", ONE_PART, f"out={tmp_path}")
    printed = evaluated(*request, "sweep.scale=[1,3]", "sweep.sampler=[ddim,ddpm]")
    content = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert [s["setting"] for s in content["settings"]] == [
        {"sampler": sampler, "scale": scale} for sampler in ("ddim", "ddpm") for scale in (1, 3)
    ]
    halves = [s["first_half"] for s in content["settings"]]
    assert content["chosen"] == int(np.argmin(halves))
    assert f"{content['settings'][content['chosen']]['second_half']:.4g}" in printed[-1]
    assert Image.open(tmp_path / "front-fd_digits-is_digits.png").size[0] > 500
    plain, guided = (results_of([f"results  {content['settings'][i]['results']}"]) for i in (0, 1))
    assert plain["fd_digits"].protocol.fields["sampler.grid.steps"] == 4  # as many as the run has
    differing = {d.field for d in plain["fd_digits"].protocol.differences(guided["fd_digits"].protocol)}
    assert differing == {
        "guidance.classifier_free._target_",
        "guidance.classifier_free.scale",
        "guidance_order",
    }  # and the seeds are the same
    unguided = results_of(evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[frechet]"))["fd_digits"]
    assert plain["fd_digits"].protocol == unguided.protocol  # w = 1 is no guidance


def test_what_is_swept_may_be_any_key_of_the_sampling(runs, tmp_path):
    """One of a part that the command chooses, or of the run's own part, by its whole name or by its last word."""
    few = (*FEW, "num_samples=20", "metric=[frechet]", f"out={tmp_path}")
    run = f"checkpoint={runs[0].run.path}"
    evaluated(run, *few, "sampler=heun", "steps=3", "sweep.s_churn=[0,40]", "sweep.precision=[32-true]")
    content = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert [s["setting"] for s in content["settings"]] == [{"precision": "32-true", "s_churn": n} for n in (0, 40)]
    calm, churned = (results_of([f"results  {s['results']}"], 20)["fd_digits"] for s in content["settings"])
    assert calm.value != churned.value
    assert [d.field for d in calm.protocol.differences(churned.protocol)] == ["sampler.s_churn"]

    evaluated(run, *few, "sweep.sampler.grid.steps=[2,3]")
    content = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    of_run = [results_of([f"results  {s['results']}"], 20)["fd_digits"] for s in content["settings"]]
    alone = results_of(evaluated(run, *few, "steps=3"), 20)["fd_digits"]
    assert of_run[1].protocol == alone.protocol
    assert of_run[1].value == alone.value


def test_bits_per_dim_are_measured_on_the_reference(runs):
    printed = evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[]", "bits_per_dim=30", "scale=3")
    measured = results_of(printed, 30)["bits_per_dim"]
    terms = results_of(printed, 30).subject["bits_per_dim"]
    assert measured.value == pytest.approx(terms["prior"] + sum(terms["steps"]["vb"]))
    assert len(terms["steps"]["vb"]) == 4
    assert not [name for name in measured.protocol.fields if "classifier_free" in name]
    (picture,) = (line.removeprefix("bits     ") for line in printed if line.startswith("bits "))
    assert Image.open(picture).format == "PNG"
    again = evaluated(f"checkpoint={runs[0].run.path}", *FEW, "metric=[]", "bits_per_dim=30", "batch_size=7")
    assert results_of(again, 30)["bits_per_dim"].value == pytest.approx(measured.value, rel=1e-5)


def test_bits_per_dim_of_the_probability_flow(runs):
    """Another likelihood is another number, image by image from seeds."""
    flow = ("likelihood=probability_flow", "likelihood.tolerance=0.05", "likelihood.probes=2")
    request = (f"checkpoint={runs[0].run.path}", *FEW, "metric=[]", "bits_per_dim=6", *flow)
    printed = evaluated(*request)
    measured = results_of(printed, 6)["bits_per_dim_flow"]
    assert "bits     not drawn: this likelihood is no sum over steps" in printed
    assert measured.std_error is not None
    assert measured.info.label == "bits/dim of the probability flow"
    assert measured.protocol.fields["likelihood.tolerance"] == 0.05
    assert measured.protocol.fields["likelihood.probe._target_"].endswith("Rademacher")
    assert not [name for name in measured.protocol.fields if name.startswith(("sampler", "guidance"))]
    again = results_of(evaluated(*request, "batch_size=4"), 6)["bits_per_dim_flow"]
    assert again.value == pytest.approx(measured.value, rel=1e-6)
    both = results_of(evaluated(*request, "likelihood/probe=gaussian"), 6).measurements
    assert len({number.value for number in both if number.metric == "bits_per_dim_flow"}) == 2


def test_statistics_that_others_publish_serve_as_reference(runs, tmp_path, capsys):
    pixels = Digits().images(range(300)).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "real.npz", pixels)
    request = (f"checkpoint={runs[0].run.path}", *FEW)
    of_images = results_of(evaluated(*request, f"reference={tmp_path / 'real.npz'}", f"out={tmp_path / 'a'}"))
    extractor = DigitsExtractor()
    found = ReferenceStatistics(open_image_set(tmp_path / "real.npz"), extractor).gaussians(["features"])
    save_statistics(tmp_path / "statistics.npz", found, extractor)
    statistics = f"reference={tmp_path / 'statistics.npz'}"
    of_statistics = results_of(evaluated(*request, statistics, "metric=[frechet]", f"out={tmp_path / 'b'}"))
    # the features are float32, and their last bits depend on the batches they were computed in
    assert of_statistics["fd_digits"].value == pytest.approx(of_images["fd_digits"].value, rel=1e-6)
    assert "precision_digits needs the reference's images" in refused(capsys, *request, statistics)


WRONG = [
    ((), "give checkpoint=RUN"),
    (("samples={floats}", "data=digits"), "value_range"),
    (("samples={nan}", "data=digits", "value_range=[-1,1]"), r"nan.npz, arr_0\[3\] holds NaN"),
    (("samples={nchw}", "data=digits"), r"nchw.npz: arr_0 has the shape .* which is \[N, C, H, W\]"),
    (("samples={npz}",), "nothing to compare with"),
    (("samples={npz}", "data=digits", "extractor=digits", "bits_per_dim=5"), "bits_per_dim measures a model"),
    (("samples={npz}", "data=digits", "extractor=digits", "metric=[kernel]"), "kd_digits.* at least 1000 samples"),
    (("samples={unlabelled}", "data=digits", "extractor=digits", "metric=[class_frechet]"), "samples' classes"),
    (
        ("samples={npz}", "data=digits", "extractor=digits", "metric=[inception_score,inception_score_of_size]"),
        "two of",
    ),
    (("checkpoint={run}", "metric=[frechet]", "reference={missing}"), "does not exist"),
    (("checkpoint={run}", "sweep.scales=[1]"), "scales"),
    (("checkpoint={run}", "sweep.scale=[1,2]", "num_samples=41"), "even"),
    (("checkpoint={run}", "sweep.scale=[1,2]", "select=fid"), "select=fid"),
    (("checkpoint={run}", "sweep.scale=[1,2]", "select=is_digits_std"), "select=is_digits_std"),
    (("checkpoint={run}", "sweep.scale=[1,x]"), "sweep.scale=x must be a number"),
    (("checkpoint={run}", "sampler=heun", "steps=3", "sweep.s_chrun=[0,1]"), "sweep.s_chrun: did you mean 's_churn'"),
    (("checkpoint={run}", "sweep.churn=[0,1]"), "sweep.churn: there are track, ema, sampler, .*sampler.grid.steps"),
    (("checkpoint={run}", "sweep.sampler.gird.steps=[1,2]"), "did you mean 'sampler.grid.steps'"),
    (("checkpoint={run}", "sweep.sampler.grid.steps=[1,0]"), "sweep.sampler.grid.steps=0 must be a number of steps"),
    (("checkpoint={run}", "sweep.sampler=[ddim,dddpm]"), "sweep.sampler: no choice 'dddpm'; did you mean 'ddpm'"),
    (("samples={npz}", "data=digits", "steps=5"), "steps says how a model draws"),
    (("samples={npz}", "data=digits", "reference={npz}"), "two references"),
    (("samples={npz}", "data=digits", "extractor=digits", "out={nan}"), "is a file"),
    (("checkpoint=[{run},{copy}]",), "one run twice"),
    (("checkpoint={run}", "sweep.eta=[0,1]", "sampler=ddpm"), "has no eta"),
    (("checkpoint={run}", "replicates=2"), "replicates=2"),
    (("checkpoint={run}", "replicates=many"), "replicates=many must be a whole number"),
    (("checkpoint={run}", "num_samples=few"), "num_samples=few must be a whole number"),
    (("samples={floats}", "data=digits", "value_range=5"), "value_range=5 must be two numbers"),
    (("checkpoint=[{run},{run}]",), "twice"),
    (("compare=[{missing},{missing}]",), "there is no file"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_input_is_named_before_any_image_is_drawn(
    runs, images, tmp_path, monkeypatch, capsys, overrides, message
):
    monkeypatch.setattr("difflab.sampling.drawer.draw_from", lambda *_, **__: pytest.fail("an image was drawn"))
    monkeypatch.chdir(tmp_path)
    floats = np.zeros((9, 8, 8, 1), np.float32)
    floats[3, 0, 0, 0] = np.nan
    np.savez("floats.npz", np.zeros_like(floats))
    np.savez("nan.npz", floats)
    np.savez("nchw.npz", np.zeros((9, 1, 8, 8), np.uint8))
    np.savez("unlabelled.npz", np.random.default_rng(0).integers(0, 255, (99, 8, 8, 1), np.uint8))
    names = {name: f"{name}.npz" for name in ("floats", "nan", "nchw", "unlabelled", "missing")}
    if "{copy}" in str(overrides):
        shutil.copytree(runs[1].run.path, tmp_path / "copy", ignore=shutil.ignore_patterns("evaluations"))
        names["copy"] = "copy"
    names |= {"npz": next(images.glob("*.npz")), "run": runs[1].run.path}
    command = [override.format(**names) for override in overrides]
    if not any(o.startswith(("num_samples", "samples", "compare")) for o in command):
        command.append("num_samples=52")
    try:
        found = refused(capsys, *command, "accelerator=cpu")
    except Exception as error:  # Hydra's own refusal of a key, which the command line explains
        found = str(error)
    assert re.search(message, found), found


def test_two_processes_measure_what_one_does(runs, tmp_path):
    flow = ("likelihood=probability_flow", "likelihood.tolerance=0.05")
    request = (f"checkpoint={runs[0].run.path}", *FEW, *flow, f"out={tmp_path / 'two'}", "bits_per_dim=6")
    environment = {**os.environ, "DIFFLAB_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "evaluate.py"), *request, "devices=2"]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True, timeout=900)
    two = Results.from_json((tmp_path / "two" / "results.json").read_text(encoding="utf-8"))
    evaluated(*request[:-2], f"out={tmp_path / 'one'}", "bits_per_dim=6")
    one = Results.from_json((tmp_path / "one" / "results.json").read_text(encoding="utf-8"))
    assert [m.metric for m in one.measurements] == [m.metric for m in two.measurements]
    for a, b in zip(one.measurements, two.measurements, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-6)
        assert a.protocol.fingerprint == b.protocol.fingerprint


def test_other_models_are_no_seeds_of_one_experiment():
    """Their mean and its interval say nothing, and were printed as those of three seeds."""
    from difflab.studies.compare.run_groups import GivenRun, check_replicates

    def run(name, seed, *overrides):
        config = composed("train", "+experiment=cosine_adagn", f"seed={seed}", *overrides)
        return GivenRun(Path(name), name, seed, OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]

    check_replicates([run("a", 0), run("b", 1, "eval.num_samples=7")])
    with pytest.raises(ValueError, match=r"a and c are not .* network\.width \(\d+ -> 16\)"):
        check_replicates([run("a", 0), run("b", 1), run("c", 2, "network.width=16")])
