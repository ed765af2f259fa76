"""Runs outside of a study, compared."""

import json
import math
import re

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.stats import ttest_rel

from difflab.evaluation import Measurement, Results
from difflab.metrics import Protocol
from difflab.studies import StudyError
from difflab.studies.compare import as_data, as_text, compare
from difflab.studies.report.grids import side_by_side as picture_of
from difflab.studies.statistics import group_difference
from fabricated import PROTOCOL, measured


def run(root, name, seed=0, width=64, fid=None, std_error=0.3, fields=None, last=None, step=100, **config):
    """A run's directory: `fid` was measured by evaluate.py, `last` by the last evaluation during training."""
    path = root / name / f"id{seed}"
    path.mkdir(parents=True)
    node = {
        "seed": seed,
        "data": {"seed": seed, "batch_size": 128, "num_workers": seed},
        "module": {"seed": seed, "denoiser": {"network": {"width": width}}},
        "network": {"_target_": "UNet", "width": width},
        "trainer": {"max_steps": 100, "devices": 1 + seed},
        "run": {"root": str(root), "name": name},
        **config,
    }
    (path / "config.yaml").write_text(yaml.safe_dump(node), encoding="utf-8")
    key = "eval/ema/fid@10k"
    row = {"step": step, "train/loss": 0.1} | ({} if last is None else {key: last})
    (path / "metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    if last is not None:
        protocol = Protocol.of({**PROTOCOL, "seeds": "0 .. 9999", "metric": {"name": "fid"}, **(fields or {})})
        (path / "protocol.json").write_text(
            json.dumps({key: {"fingerprint": "x", **protocol.fields}}), encoding="utf-8"
        )
    if fid is not None:
        evaluate(path, fid, seed, std_error, **(fields or {}))
    return path


def evaluate(path, fid, seed=0, std_error=0.3, folder="e0", **fields):
    file = path / "evaluations" / folder / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text(Results([measured("fid", fid, seed, std_error, **fields)], {}).to_json(), encoding="utf-8")


def _samples(path):
    folder = path / "samples"
    folder.mkdir()
    return folder


def side_by_side(runs, path):
    return picture_of({run.name: run.path for run in runs}, path)


def only(comparison):
    (metric,) = comparison.metrics
    return metric.differences[2]


def test_runs_that_differ_in_their_seed_alone_are_replicates(tmp_path):
    paths = [run(tmp_path, "a", s, fid=10.0 + s) for s in (1, 0)] + [
        run(tmp_path, "b", s, 96, fid=9.0 + s) for s in (0, 1)
    ]
    comparison = compare(paths)
    assert [list(group.runs) for group in comparison.groups] == [[0, 1], [0, 1]]
    assert [one.key for one in comparison.config[2]] == ["network.width"]
    assert (comparison.config[2][0].before, comparison.config[2][0].after) == (64, 96)


def test_common_seeds_are_paired(tmp_path):
    """fid is a ratio: logarithms of 8 / 10, 9 / 11, 10.3 / 12 by scipy."""
    a, b = (10.0, 11.0, 12.0), (8.0, 9.0, 10.3)
    paths = [run(tmp_path, "a", s, fid=a[s]) for s in range(3)] + [
        run(tmp_path, "b", s, 96, fid=b[s]) for s in range(3)
    ]
    found = only(compare(paths))
    theirs = ttest_rel(np.log(b), np.log(a))
    low, high = 100 * np.expm1(theirs.confidence_interval())
    assert found.value == pytest.approx(100 * (math.prod(b) / math.prod(a)) ** (1 / 3) - 100)
    assert found.limits == pytest.approx((low, high), rel=1e-6)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.basis, found.scale.unit) == ("a typical seed, paired over seeds 0, 1, 2", " %")
    text = as_text(compare(paths))
    assert "-17.5 % [-24.5, -9.8]" in text
    assert "11.0 ± 2.5 (3 seeds)" in text


def test_single_runs_have_the_errors_of_sampling(tmp_path):
    found = only(
        compare([run(tmp_path, "a", fid=10.0, std_error=0.3), run(tmp_path, "b", width=96, fid=9.0, std_error=0.4)])
    )
    error = math.hypot(0.3 / 10, 0.4 / 9)
    low, high = (100 * math.expm1(math.log(0.9) + side * 1.959963984540054 * error) for side in (-1, 1))
    assert (found.value, *found.limits) == pytest.approx((-10, low, high), rel=1e-6)
    assert found.p == pytest.approx(math.erfc(-math.log(0.9) / error / math.sqrt(2)), rel=1e-6)
    assert "sampling errors alone" in found.basis


def test_groups_without_common_seeds_are_independent():
    first = {s: measured("is", v, s) for s, v in enumerate((10.0, 11.0, 12.0))}
    second = {s + 7: measured("is", v, s) for s, v in enumerate((8.0, 9.0, 10.0))}
    found = group_difference(first, second)
    # equal variances of 1 and n = 3: 4 degrees of freedom, t_.975 = 2.776445, error sqrt(2/3)
    assert found.limits == pytest.approx((-2 - 2.776445 * math.sqrt(2 / 3), -2 + 2.776445 * math.sqrt(2 / 3)), rel=1e-6)
    assert "independent" in found.basis


def test_one_common_seed_is_that_which_is_compared():
    first = {0: measured("fid", 10.0, 0, 0.3), 1: measured("fid", 20.0, 1, 0.3)}
    found = group_difference(first, {1: measured("fid", 19.0, 1, 0.4)})
    assert found.value == pytest.approx(-5)
    assert "seed 1" in found.basis


def test_numbers_without_errors_have_no_interval():
    found = group_difference({0: measured("fid", 10.0)}, {0: measured("fid", 9.0)})
    assert (found.value, found.limits, found.p) == (pytest.approx(-10), None, None)


def test_a_number_that_has_no_logarithm_is_named():
    found = group_difference(
        {0: measured("fid", 0.0), 1: measured("fid", 3.0, 1)}, {0: measured("fid", 9.0), 1: measured("fid", 8.0, 1)}
    )
    assert math.isnan(found.value)
    assert found.basis == "0 is no number above 0, as a ratio needs it"


def test_several_differences_say_that_none_was_chosen_beforehand(tmp_path):
    paths = [run(tmp_path, "a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0)]
    assert not any("each p" in note for note in compare(paths).notes)
    third = run(tmp_path, "c", width=32, fid=9.0)
    assert any(
        "of 2 without any effect, if independent, one is below 0.05 in 10 %" in note
        for note in compare([*paths, third]).notes
    )


def test_numbers_that_were_measured_differently_are_refused_by_field(tmp_path):
    other = {"sampler": {**PROTOCOL["sampler"], "grid": {"steps": 50}}}
    paths = [run(tmp_path, "a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0, fields=other)]
    refused = compare(paths)
    reason = refused.refused["fid"]
    assert "sampler.grid.steps (25 against 50)" in reason
    assert "waive=[sampler.grid.steps]" in reason
    text = as_text(refused)  # what can be seen side by side is shown all the same
    assert refused.metrics == []
    assert re.search(r"network\.width +64 +96", text)
    assert "The numbers are not compared" in text
    assert f"not compared: fid: {reason[:40]}" in text
    Image.new("RGB", (8, 8)).save(_samples(paths[0]) / "ema_00000100.png")
    assert side_by_side(refused.runs, tmp_path / "both.png") is not None
    accepted = compare(paths, waive=["sampler"])
    assert only(accepted).value == pytest.approx(-10)
    assert "waived: sampler.grid.steps (25 against 50)" in accepted.notes


def test_a_waiver_of_nothing_is_told(tmp_path):
    paths = [run(tmp_path, "a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0)]
    assert "waive=track has no effect: nothing differs in it" in compare(paths, waive=["track"]).notes


def test_runs_of_one_seed_are_to_have_the_same_sampling_seeds(tmp_path):
    paths = [run(tmp_path, "a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0, fields={"seeds": "5 .. 9"})]
    assert "seeds (0 .. 9999 against 5 .. 9)" in compare(paths).refused["fid"]


@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_other_than_the_first_run_are_held_to_the_same_sampling_seeds(tmp_path, seed):
    paths = [run(tmp_path, "a", s, fid=10.0) for s in (0, 1)]
    paths += [run(tmp_path, "b", s, 96, fid=9.0, fields={"seeds": "5 .. 9"} if s == seed else {}) for s in (0, 1)]
    assert re.search(r"seeds \(.* against 5 \.\. 9\)", compare(paths).refused["fid"])


def test_of_several_evaluations_those_alike_are_compared(tmp_path):
    paths = [run(tmp_path, "a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0, fields={"track": "online"})]
    evaluate(paths[1], 7.0, folder="e1")
    assert only(compare(paths)).value == pytest.approx(-30)
    evaluate(paths[0], 12.0, folder="e1", track="online")
    both = compare(paths)
    assert sorted(one.differences[2].value for one in both.metrics) == [pytest.approx(-30), pytest.approx(-25)]


def test_without_evaluations_the_last_one_of_training_stands_in_and_says_so(tmp_path):
    paths = [run(tmp_path, "a", fid=10.0, last=30.0), run(tmp_path, "b", width=96, last=28.0, step=60)]
    comparison = compare(paths)
    assert (only(comparison).value, only(comparison).limits) == (pytest.approx(-100 / 15), None)
    assert "during training, step 60" in as_text(comparison)
    assert "b/id0 is at step 60 of 100" in comparison.notes


def test_runs_that_were_never_measured_still_have_configurations(tmp_path):
    comparison = compare([run(tmp_path, "a"), run(tmp_path, "b", network={"_target_": "DiT", "depth": 2})])
    assert comparison.metrics == []
    assert [one.key for one in comparison.config[2]] == ["network"]
    assert "UNet" in as_text(comparison)
    assert any("evaluate.py" in note for note in comparison.notes)


def test_a_metric_that_one_run_lacks_is_told_and_no_error(tmp_path):
    comparison = compare([run(tmp_path, "a", fid=3.0), run(tmp_path, "b", width=96)])
    assert comparison.metrics == []
    assert "not measured in all runs: fid" in comparison.notes


def test_a_change_is_seen_once_and_not_again_in_the_wiring(tmp_path):
    """num_workers, devices and paths differ as well, and module repeats network."""
    found = compare([run(tmp_path, "a", 0), run(tmp_path, "b", 1, 96)]).config[2]
    assert [str(one) for one in found] == ["network.width (64 -> 96)"]


def test_data_are_plain_and_in_full(tmp_path):
    paths = [run(tmp_path, "a", fid=10.1), run(tmp_path, "b", width=96, fid=9.3)]
    data = json.loads(json.dumps(as_data(compare(paths))))
    assert data["metrics"][0]["differences"]["2"]["value"] == pytest.approx(100 * 9.3 / 10.1 - 100)
    assert data["metrics"][0]["numbers"]["a/id0"]["value"] == 10.1
    assert data["config"]["2"] == [{"key": "network.width", "first": "64", "second": "96"}]
    assert data["groups"][1]["runs"][0]["path"] == str(paths[1])


def test_names_with_brackets_are_printed_as_they_are(tmp_path):
    paths = [run(tmp_path, "[bold]a", fid=10.0), run(tmp_path, "b", width=96, fid=9.0)]
    assert "[bold]a/id0" in as_text(compare(paths))


def test_bad_input_names_the_path(tmp_path):
    a, empty = run(tmp_path, "a"), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StudyError, match="two run directories at least"):
        compare([a])
    with pytest.raises(StudyError, match="empty is no run directory"):
        compare([a, empty])
    with pytest.raises(StudyError, match="named twice"):
        compare([a, a.parent / "." / a.name])
    with pytest.raises(StudyError, match="same configuration and seed"):
        compare([a, run(tmp_path, "copy")])
    (empty / "config.yaml").write_text("[1", encoding="utf-8")
    with pytest.raises(StudyError, match=r"config\.yaml is no configuration"):
        compare([a, empty])


def test_torn_results_name_the_file(tmp_path):
    paths = [run(tmp_path, "a", fid=1.0), run(tmp_path, "b", width=96, fid=1.0)]
    file = paths[1] / "evaluations" / "e0" / "results.json"
    file.write_text(file.read_text(encoding="utf-8")[:50], encoding="utf-8")
    with pytest.raises(StudyError, match=r"results\.json"):
        compare(paths)


def grid(path, name, color):
    (path / "samples").mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), color).save(path / "samples" / name)


def colors(picture):
    return {color for _, color in Image.open(picture).convert("RGB").getcolors(1 << 20)}


def test_samples_stand_side_by_side_at_the_newest_common_step(tmp_path):
    a, b = run(tmp_path, "a"), run(tmp_path, "b", width=96)
    grid(a, "ema_00000050.png", "red")
    grid(a, "ema_00000100.png", "blue")
    grid(b, "ema_00000050.png", "green")
    runs = compare([a, b]).runs
    written = side_by_side(runs, tmp_path / "deep" / "side.png")
    found = colors(written)
    assert {(255, 0, 0), (0, 128, 0)} <= found
    assert (0, 0, 255) not in found
    image = Image.open(written).convert("RGB")
    xs = {
        c: [x for x in range(image.width) for y in (80,) if image.getpixel((x, y)) == c]
        for c in [(255, 0, 0), (0, 128, 0)]
    }
    assert max(xs[255, 0, 0]) < min(xs[0, 128, 0])
    assert len(xs[255, 0, 0]) == len(xs[0, 128, 0]) == 64


def test_without_a_common_step_each_has_its_newest_and_evaluations_stand_in(tmp_path):
    a, b, c = run(tmp_path, "a"), run(tmp_path, "b", width=96), run(tmp_path, "c", width=32)
    runs = compare([a, b, c]).runs
    assert side_by_side(runs, tmp_path / "side.png") is None
    assert not (tmp_path / "side.png").exists()
    grid(a, "ema_00000100.png", "blue")
    (b / "evaluations" / "e0").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(b / "evaluations" / "e0" / "grid.png")
    assert {(0, 0, 255), (255, 0, 0), (238, 238, 238)} <= colors(side_by_side(runs, tmp_path / "side.png"))


def test_a_metric_that_does_not_say_which_way_is_better_is_asked_for(tmp_path, capsys):
    from difflab.cli.study_results import compare as command

    paths = []
    for name, width, value in (("a", 64, 0.5), ("b", 96, 0.7)):
        path = run(tmp_path, name, width=width)
        (path / "evaluations" / "e0").mkdir(parents=True)
        protocol = Protocol.of({**PROTOCOL, "seeds": "0 .. 9999", "metric": {"name": "realism"}})
        found = Results([Measurement("realism", value, 10000, protocol, 0.01, 100)], {})
        (path / "evaluations" / "e0" / "results.json").write_text(found.to_json(), encoding="utf-8")
        paths.append(str(path))
    with pytest.raises(StudyError) as error:
        command(paths)
    assert str(error.value) == (
        "a/id0 (evaluations/e0) does not say whether a higher realism is better, and it is no metric of difflab. "
        "State it by 'info={realism: {higher_is_better: true}}'"
    )
    command([*paths, "info={realism: {higher_is_better: true}}"])
    assert "realism (10k) ↑" in capsys.readouterr().out
    command([*paths, "info={realism: {higher_is_better: true}}", "--json"])
    said = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert said["metrics"][0]["info"]["higher_is_better"] is True
    with pytest.raises(StudyError, match=r"info=\{realism: up\}: info.realism = 'up': expected"):
        command([*paths, "info={realism: up}"])


def test_a_number_that_is_none_is_named_with_its_run(tmp_path, capsys):
    from difflab.cli.study_results import compare as command

    paths = [str(run(tmp_path, "a", fid=math.nan)), str(run(tmp_path, "b", width=96, fid=9.0))]
    assert "fid of a/id0 is no number: the metric gave nan" in compare(paths).notes
    command([*paths, "--json"])
    said = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert said["metrics"][0]["numbers"]["a/id0"]["value"] is None
