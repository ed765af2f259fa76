"""What one should know of a number is said beside it and kept with it: copies, sizes, references that leave things open, changed files."""

import contextlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difflab.cli.evaluate import evaluate
from difflab.data import Digits
from difflab.data.subset import Spread
from difflab.evaluation import ReferenceStatistics, save_statistics
from difflab.evaluation.options import evaluation_options
from difflab.evaluation.reference import ReferenceSource
from difflab.evaluation.run import check, chosen_evaluator
from difflab.features import DigitsExtractor
from difflab.features import embed as embed_module
from running import composed

FEW = ("batch_size=64", "replicates=0", "accelerator=cpu")
DISTANCE = ("extractor=digits", "metric=[frechet]")
NEIGHBOURS = ("extractor=digits", "metric=[frechet,density_coverage]")


@pytest.fixture(autouse=True)
def _at(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.chdir(tmp_path)


def digits(count: int, first: int = 0) -> np.ndarray:
    return Digits().images(range(first, first + count)).permute(0, 2, 3, 1).numpy()


def test_a_default_metric_that_the_weights_do_not_serve_is_left_out_and_one_asked_for_is_refused():
    """As the Inception Score is without logits."""
    extractor = DigitsExtractor()
    extractor.identity = replace(extractor.identity, num_classes=0)
    source = ReferenceSource(Digits(), None, "")
    default = chosen_evaluator(evaluation_options(composed("evaluate")), extractor, source)
    assert set(default.info) == {"fd_digits", "precision_digits", "recall_digits"}
    assert default.notes == ["is_digits is left out: the extractor digits has not what it needs (logits)"]
    options = evaluation_options(composed("evaluate", "metric=[frechet,inception_score]"))
    asked = chosen_evaluator(options, extractor, source)
    assert asked.notes == []
    with pytest.raises(ValueError, match=r"needs logits, .*: leave the metric out, or choose"):
        check(asked, (1, 8, 8), 40, has_labels=False)


def evaluated(*overrides: str) -> tuple[list[str], dict]:
    """What was printed, and results.json."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluate(composed("evaluate", *overrides, *FEW))
    lines = printed.getvalue().splitlines()
    (path,) = [line.split()[1] for line in lines if line.startswith("results ")]
    return lines, json.loads(Path(path).read_text(encoding="utf-8"))


def notes(*overrides: str) -> list[str]:
    """As they are kept, and as they are printed; but for what all sets of so few images have in common."""
    printed, content = evaluated(*overrides)
    kept = content["subject"].get("notes", [])
    assert [line.removeprefix("note     ") for line in printed if line.startswith("note ")] == kept
    return [note for note in kept if "are fewer than the" not in note]


def value(*overrides: str) -> float:
    return evaluated(*overrides)[1]["measurements"][-1]["value"]


def refusal(capsys, *overrides: str) -> str:
    with pytest.raises(SystemExit):
        evaluated(*overrides)
    return capsys.readouterr().err


def test_copies_of_one_image_are_counted_whether_embedded_now_or_before():
    np.savez("one.npz", np.repeat(digits(1), 90, axis=0))
    np.savez("others.npz", np.concatenate([digits(60), digits(5)]))
    np.savez("real.npz", digits(100, first=500))
    for _ in range(2):
        assert notes("samples=one.npz", "reference=real.npz", *DISTANCE) == [
            "89 of the 90 samples repeat an earlier one, pixel by pixel"
        ]
    assert notes("samples=others.npz", "reference=real.npz", *DISTANCE) == [
        "5 of the 65 samples repeat an earlier one, pixel by pixel"
    ]
    np.savez("distinct.npz", digits(60))
    assert notes("samples=distinct.npz", "reference=real.npz", *NEIGHBOURS) == []


def test_features_of_an_earlier_version_hold_no_digests_and_copies_are_counted_all_the_same(monkeypatch):
    np.savez("one.npz", np.concatenate([digits(70), digits(1)]))
    command = ("samples=one.npz", "data=digits", "features=features", *DISTANCE)
    columns = embed_module._columns

    def without_digests(*arguments):
        return {name: value for name, value in columns(*arguments).items() if name != embed_module.DIGESTS}

    monkeypatch.setattr(embed_module, "_columns", without_digests)
    evaluated(*command)
    monkeypatch.setattr(embed_module, "_columns", lambda *_: pytest.fail("the images were embedded again"))
    assert notes(*command) == ["1 of the 71 samples repeat an earlier one, pixel by pixel"]


def test_samples_that_are_images_of_the_reference_are_counted():
    np.savez("samples.npz", digits(70))
    np.savez("real.npz", digits(100, first=60))
    assert notes("samples=samples.npz", "reference=real.npz", *NEIGHBOURS) == [
        "10 of the 70 samples equal an image of the reference, pixel by pixel"
    ]
    assert notes("samples=samples.npz", "data=digits", *NEIGHBOURS, "out=a")[0].startswith("70 of the 70 samples equal")
    assert notes("samples=samples.npz", "reference=samples.npz", *DISTANCE, "out=b") == [
        "the samples are the reference's images"
    ]


def test_another_size_than_the_reference_is_said_before_and_after(capsys):
    from difflab.features.packaged import has_efficientnet_lite0

    if not has_efficientnet_lite0():
        pytest.skip("no extractor of images of any size is at hand")
    rng = np.random.default_rng(0)
    np.savez("small.npz", rng.integers(0, 256, (8, 16, 16, 3), np.uint8))
    np.savez("large.npz", rng.integers(0, 256, (8, 24, 24, 3), np.uint8))
    command = ("samples=small.npz", "reference=large.npz", "extractor=efflite0", "metric=[frechet]")
    (note,) = notes(*command)
    assert "warning: the samples are 16x16 in 3 channels and the reference's images 24x24" in capsys.readouterr().err
    assert "24x24 in 3 channels" in note


def test_statistics_that_do_not_say_how_they_were_made_are_said_to(capsys):
    extractor = DigitsExtractor()
    real = Spread(Digits(), 300)
    save_statistics("ours.npz", ReferenceStatistics(real, extractor).gaussians(["features"]), extractor)
    np.savez("samples.npz", digits(80))
    assert notes("samples=samples.npz", "reference=ours.npz", *DISTANCE) == []
    with np.load("ours.npz") as ours:
        np.savez("theirs.npz", mu=ours["mu"], sigma=ours["sigma"])
        np.savez("named.npz", mu=ours["mu"], sigma=ours["sigma"], extractor=np.array("another"))
    capsys.readouterr()
    (note,) = notes("samples=samples.npz", "reference=theirs.npz", *DISTANCE)
    assert "warning: theirs.npz does not say of which extractor and resize, nor of how many" in capsys.readouterr().err
    assert "those of digits (" in note


def test_statistics_that_name_another_extractor_are_refused(capsys):
    extractor = DigitsExtractor()
    save_statistics(
        "ours.npz", ReferenceStatistics(Spread(Digits(), 300), extractor).gaussians(["features"]), extractor
    )
    np.savez("samples.npz", digits(80))
    with np.load("ours.npz") as ours:
        np.savez("named.npz", mu=ours["mu"], sigma=ours["sigma"], extractor=np.array("another"))
    assert "named.npz was made with another" in refusal(capsys, "samples=samples.npz", "reference=named.npz", *DISTANCE)


@pytest.mark.parametrize("kind", ["images", "statistics"])
def test_a_changed_reference_gives_another_number_whatever_its_size_and_time(kind):
    extractor = DigitsExtractor()

    def write(first: int) -> None:
        if kind == "images":
            np.savez("real.npz", digits(200, first))
        else:
            source = Spread(Digits(), 300 + first)
            save_statistics("real.npz", ReferenceStatistics(source, extractor).gaussians(["features"]), extractor)
        os.utime("real.npz", ns=(1, 1))

    np.savez("samples.npz", digits(80))
    command = ("samples=samples.npz", "reference=real.npz", *DISTANCE)
    write(0)
    size, before = Path("real.npz").stat().st_size, value(*command)
    write(400)
    assert Path("real.npz").stat().st_size == size
    assert value(*command) != before


def test_a_data_set_by_its_name_can_be_the_samples():
    by_name = evaluated("samples=digits", "samples_images=300", "data=digits", *DISTANCE)[1]
    np.savez("same.npz", Spread(Digits(), 300).images(range(300)).permute(0, 2, 3, 1).numpy())
    of_file = evaluated("samples=same.npz", "data=digits", *DISTANCE)[1]
    assert by_name["measurements"][0]["value"] == pytest.approx(of_file["measurements"][0]["value"], rel=1e-6)
    assert by_name["measurements"][0]["samples"] == 300
    assert by_name["subject"]["samples"] == "digits"


def test_a_path_is_a_path_though_a_data_set_has_its_name(capsys):
    Path("digits").mkdir()
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save("digits/a.png")
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save("digits/b.png")
    assert evaluated("samples=digits", "data=digits", *DISTANCE)[1]["measurements"][0]["samples"] == 2
    assert "zip does not exist" in refusal(capsys, "samples=zip", "data=digits", *DISTANCE)


def test_numbers_are_not_compared_with_themselves_nor_with_those_of_another_reference(capsys):
    np.savez("samples.npz", digits(80))
    np.savez("real.npz", digits(200, first=100))
    np.savez("other.npz", digits(200, first=400))
    for name in ("real", "other"):
        evaluated("samples=samples.npz", f"reference={name}.npz", *DISTANCE, f"out={name}")
    with pytest.raises(SystemExit):
        evaluate(composed("evaluate", "compare=[real,./real/results.json]"))
    assert "one file twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate(composed("evaluate", "compare=[real,other]"))
    assert "reference.fingerprint" in capsys.readouterr().err


def test_what_is_given_twice_is_refused(capsys):
    np.savez("samples.npz", digits(80))
    assert "samples is given twice" in refusal(capsys, "samples=samples.npz", "samples=samples.npz", "data=digits")
