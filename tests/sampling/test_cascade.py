"""Cascades on the command lines of sample.py and evaluate.py."""

import contextlib
import errno
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import param_recipe

from difflab.cli.evaluate import evaluate
from difflab.cli.sample import sample
from difflab.cli.train import train
from difflab.config.keys import ConfigError
from difflab.config.options import gathered, stage_words
from difflab.config.run import read_words
from difflab.files import WriteError
from difflab.runs import RunDirectory
from difflab.sampling import SamplingOptions, ShardFolder, images_of_stages
from running import composed, sample_from

TINY = (
    "network.width=16",
    "network.depth=1",
    "schedule.steps=20",
    "sampler.grid.steps=4",
    "data.batch_size=16",
    "trainer.accelerator=cpu",
    "trainer.max_steps=4",
    "eval.every=4",
    "eval.num_samples=12",
    "eval.batch_size=12",
    "eval.grid=4",
    "checkpoint.every=4",
    "logger=none",
)
SMALL_IMAGES = (
    "data=mixture",
    "data.image_size=4",
    "data.num_classes=10",
    "data.dataset.mixture.components=10",
    "data.dataset.length=200",
)
BASE = (
    "+experiment=cosine_adagn",
    *TINY,
    *SMALL_IMAGES,
    "condition_dropout=0.2",
    "ema=[warm_up,constant]",
    "eval.tracks=[warm_up]",
)
UPSAMPLER = ("+experiment=sr/digits_4to8", *(word.replace("network.", "network.unet.") for word in TINY))


GOLDEN = Path(__file__).parents[1] / "golden"
BASE_FLAGS = (
    "--image_size 4 --num_channels 32 --num_res_blocks 1 --attention_resolutions 2 --channel_mult 1,1 --num_head_channels 32 "
    "--class_cond True --num_classes 10 --learn_sigma True --resblock_updown True --use_new_attention_order True "
    "--diffusion_steps 20 --noise_schedule cosine"
)
UPSAMPLER_FLAGS = (
    "--large_size 16 --small_size 4 --num_channels 32 --num_res_blocks 1 --attention_resolutions 8 --channel_mult 1,1 --num_heads 4 "
    "--class_cond True --num_classes 10 --learn_sigma True --resblock_updown True --diffusion_steps 20 --noise_schedule cosine"
)


def trained(root: Path, *overrides: str) -> Path:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", f"run.root={root}", *overrides))
    return RunDirectory(Path(out.getvalue().splitlines()[-1])).path


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("base"), *BASE)


@pytest.fixture(scope="module")
def upsampler(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("upsampler"), *UPSAMPLER)


def cascade(stages: Sequence[object], out: Path, *words: str) -> list[str]:
    """`python sample.py stages=[...] out=...`; what it printed."""
    command = [f"stages=[{','.join(map(str, stages))}]", f"out={out}", "accelerator=cpu", "batch_size=4", *words]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        sample(composed("sample", *gathered(command)))
    return printed.getvalue().splitlines()


def archive(folder: Path) -> np.lib.npyio.NpzFile:
    (path,) = folder.glob("samples_*.npz")
    return np.load(path)


def plan_of(folder: Path) -> dict:
    return json.loads((folder / "plan.json").read_text(encoding="utf-8"))["plan"]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shards/*.safetensors")}


def refused(capsys, stages: Sequence[object], out: Path, *words: str) -> str:
    with pytest.raises(SystemExit) as status:
        cascade(stages, out, *words)
    error = capsys.readouterr().err
    assert status.value.code == 2
    assert error.count("\n") == 1
    return error


OWN = (
    "stage.0.steps=3",
    "stage.0.track=constant",
    "stage.1.steps=5",
    "stage.1.sampler=ddpm",
    "stage.1.batch_size=3",
    "stage.1.level=0.3",
)
GUIDED = ("stage.0.guidance=[classifier_free,clip]", "stage.0.guidance.classifier_free.scale=3")


def test_it_is_the_base_and_then_the_upsampler_each_with_its_own_settings(base, upsampler, tmp_path):
    """One command draws what two would, bit for bit."""
    cascade([base, upsampler], tmp_path / "one", "num_samples=6", "first_seed=30", *OWN, *GUIDED)
    same = ("first_seed=30", "num_samples=6")
    own = (
        "guidance=[classifier_free,clip]",
        "guidance.classifier_free.scale=3",
        "steps=3",
        "track=constant",
        "batch_size=4",
    )
    sample_from(base, tmp_path / "base", *same, *own)
    up = ("sampler=ddpm", "steps=5", "batch_size=3", "level=0.3", f"low_res={tmp_path}/base")
    sample_from(upsampler, tmp_path / "up", *same, *up)
    found, expected = archive(tmp_path / "one"), archive(tmp_path / "up")
    assert found["arr_0"].shape == (6, 8, 8, 1)
    assert np.array_equal(found["arr_0"], expected["arr_0"])
    assert found["arr_1"].tolist() == expected["arr_1"].tolist() == [i % 10 for i in range(30, 36)]

    plan = plan_of(tmp_path / "one")
    assert plan["stages.0.sampler.grid.steps"] == 3
    assert plan["stages.0.track"] == "constant"
    assert plan["stages.0.guidance.classifier_free.scale"] == 3
    assert plan["stages.1.sampler._target_"] == "difflab.samplers.DDPM"
    assert plan["stages.1.sampler.grid.steps"] == 5
    assert plan["stages.1.low_resolution.size"] == 4
    assert "0.3" in plan["stages.1.low_resolution.noise"]
    assert plan["stages.1.classes"] == "of the stage before"
    assert not any(name.startswith(("sampler", "guidance", "track")) for name in plan)


def test_released_models_are_stages(tmp_path):
    """With made-up weights; the base of OpenAI's 16 pixels at 4, where its attention is one level deeper in the image."""
    names = json.loads(gzip.decompress((GOLDEN / "unet_params.json.gz").read_bytes()))
    for file, case in (("base", "u04_adm_new_cls"), ("up", "s01_sr")):
        weights = {p["name"]: torch.from_numpy(param_recipe(p["name"], p["shape"])).float() for p in names[case]}
        torch.save(weights, tmp_path / f"{file}.pt")
    stages = [f"openai:{tmp_path}/base.pt", f"openai:{tmp_path}/up.pt"]
    words = [
        f"stage.0.flags='{BASE_FLAGS}'",
        f"stage.1.flags='{UPSAMPLER_FLAGS}'",
        "stage.0.guidance=[perturbed_attention,clip]",
    ]
    cascade(
        stages, tmp_path / "one", "num_samples=2", *words, "stage.0.steps=4", "stage.1.steps=3", "stage.1.sampler=ddim"
    )
    own = (f"flags='{BASE_FLAGS}'", "guidance=[perturbed_attention,clip]", "steps=4", "num_samples=2", "batch_size=4")
    sample_from(stages[0], tmp_path / "base", *own)
    own = (
        f"flags='{UPSAMPLER_FLAGS}'",
        "sampler=ddim",
        "steps=3",
        "num_samples=2",
        "batch_size=4",
        f"low_res={tmp_path}/base",
    )
    sample_from(stages[1], tmp_path / "up", *own)
    found = archive(tmp_path / "one")
    assert found["arr_0"].shape == (2, 16, 16, 3)
    assert np.array_equal(found["arr_0"], archive(tmp_path / "up")["arr_0"])
    assert plan_of(tmp_path / "one")["stages.0.guidance_order"] == "perturbed_attention, clip"


def test_words_without_a_stage_are_said_of_all(base, upsampler, tmp_path):
    cascade(
        [base, upsampler],
        tmp_path,
        "num_samples=2",
        "sampler=ddim",
        "sampler.eta=0.5",
        "steps=2",
        "stage.1.sampler.eta=1",
        "format=none",
    )
    plan = plan_of(tmp_path)
    assert {plan[f"stages.{i}.sampler.grid.steps"] for i in (0, 1)} == {2}
    assert (plan["stages.0.sampler.eta"], plan["stages.1.sampler.eta"]) == (0.5, 1)


def test_killed_in_a_later_stage_it_goes_on_from_there(base, upsampler, tmp_path, monkeypatch, capsys):
    words = ("num_samples=10", "stage.1.batch_size=3")
    cascade([base, upsampler], tmp_path / "whole", *words)
    write, written = ShardFolder.write, []

    def failing(self, k, images, labels, *more):
        if images.shape[-1] == 8 and k == 2:
            raise WriteError.of("a shard", OSError(errno.ENOSPC, "no room"))
        written.append((images.shape[-1], k))
        write(self, k, images, labels, *more)

    with monkeypatch.context() as patch:
        patch.setattr(ShardFolder, "write", failing)
        assert "could not write a shard" in refused(capsys, [base, upsampler], tmp_path / "cut", *words)
    assert written == [(4, 0), (4, 1), (4, 2), (8, 0), (8, 1)]
    written.clear()
    monkeypatch.setattr(ShardFolder, "write", lambda self, k, *more: (written.append(k), write(self, k, *more)))
    cascade([base, upsampler], tmp_path / "cut", *words)
    assert written == [2, 3], "what was drawn is not drawn again"
    assert np.array_equal(archive(tmp_path / "cut")["arr_0"], archive(tmp_path / "whole")["arr_0"])
    assert "already complete" in cascade([base, upsampler], tmp_path / "cut", *words)[0]


def test_another_setting_of_a_later_stage_keeps_the_ones_before(base, upsampler, tmp_path, capsys):
    words = ("num_samples=5", "keep_shards=true")
    cascade([base, upsampler], tmp_path, *words, "stage.1.steps=2")
    before, drawn = times(tmp_path / "stages" / "0"), archive(tmp_path)["arr_0"]
    error = refused(capsys, [base, upsampler], tmp_path, *words, "stage.1.steps=3")
    assert "stages.1.sampler.grid.steps (2 against 3)" in error
    assert "overwrite=true" in error
    cascade([base, upsampler], tmp_path, *words, "stage.1.steps=3", "overwrite=true")
    assert times(tmp_path / "stages" / "0") == before
    assert not np.array_equal(archive(tmp_path)["arr_0"], drawn)
    error = refused(capsys, [base, upsampler], tmp_path, *words, "stage.1.steps=3", "stage.0.steps=2")
    assert "stage 0" in error
    assert "sampler.grid.steps (4 against 2)" in error
    cascade([base, upsampler], tmp_path, *words, "stage.1.steps=3", "stage.0.steps=2", "overwrite=true")
    assert times(tmp_path / "stages" / "0") != before


def test_a_set_that_grows_is_what_the_large_one_is(base, upsampler, tmp_path):
    """The last batch of a stage is filled up: the stage before has to draw what these images enlarge."""
    words = ("keep_shards=true", "stage.1.batch_size=3")
    cascade([base, upsampler], tmp_path / "grows", "num_samples=4", *words)
    cascade([base, upsampler], tmp_path / "grows", "num_samples=9", *words)
    cascade([base, upsampler], tmp_path / "large", "num_samples=9", *words)
    assert np.array_equal(archive(tmp_path / "grows")["arr_0"], archive(tmp_path / "large")["arr_0"])


@pytest.mark.parametrize(
    ("samples", "sizes", "counts"),
    [
        (10, [4, 3], [12, 10]),
        (10, [4, 5], [10, 10]),
        (2, [4, 5], [2, 2]),
        (50000, [250, 64, 20], [50048, 50000, 50000]),
        (7, [4, 5, 3], [10, 9, 7]),
        (7, [4], [7]),
    ],
)
def test_each_stage_draws_for_whole_batches_of_the_next(samples, sizes, counts):
    assert images_of_stages(samples, sizes) == counts


def test_two_processes_draw_what_one_draws(base, upsampler, tmp_path):
    words = ["num_samples=9", "batch_size=2", "stage.0.batch_size=3", "stage.1.steps=3"]
    cascade([base, upsampler], tmp_path / "one", *words)
    command = [
        sys.executable,
        "sample.py",
        f"stages=[{base},{upsampler}]",
        f"out={tmp_path / 'two'}",
        "accelerator=cpu",
    ]
    done = subprocess.run(
        [*command, *words, "devices=2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("samples_9x8x8x1.npz", "grid.png", "stages/0/grid.png"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_evaluate_measures_the_end_by_all_stages(base, upsampler, tmp_path):
    command = [
        f"stages=[{base},{upsampler}]",
        "stage.0.steps=2",
        "stage.1.steps=3",
        "num_samples=12",
        "batch_size=6",
        "replicates=0",
    ]
    command += ["metric=[frechet]", "accelerator=cpu", f"features={tmp_path / 'features'}"]
    drawn = []
    for first in (command, [f"checkpoint={base}", f"stages=[${{checkpoint}},{upsampler}]", *command[1:]]):
        command = first  # as a study says it, whose rows know their own run alone
        with contextlib.redirect_stdout(io.StringIO()):
            evaluate(composed("evaluate", *gathered(command)))
        drawn.append([times(folder) for run in (base, upsampler) for folder in (run / "evaluations").iterdir()])
    assert drawn[0] == drawn[1] != [{}, {}], "the second time nothing is drawn"
    (file,) = (upsampler / "evaluations").glob("*/results.json")
    results = json.loads(file.read_text(encoding="utf-8"))
    (number,) = results["measurements"]
    assert number["metric"] == "fd_digits"
    protocol = number["protocol"]
    assert (protocol["stages.0.sampler.grid.steps"], protocol["stages.1.sampler.grid.steps"]) == (2, 3)
    assert not any("weights_sha256" in name and name.startswith("stages.") for name in protocol), (
        "whose images they are is no protocol"
    )
    assert [stage["run"] for stage in results["subject"]["stages"]] == ["cosine_adagn", "sr/digits_4to8"]
    assert results["subject"]["run"] == "cosine_adagn -> sr/digits_4to8"
    (stage,) = (base / "evaluations").glob("*/plan.json")
    assert json.loads(stage.read_text(encoding="utf-8"))["plan"]["sampler.grid.steps"] == 2, (
        "the base's images are kept where the base's are"
    )


def test_what_it_wrote_knows_how_it_was_drawn(base, upsampler, tmp_path):
    cascade([base, upsampler], tmp_path / "drawn", "num_samples=12", "stage.1.steps=2")
    command = [
        f"samples={tmp_path / 'drawn'}",
        "data=digits",
        "metric=[frechet]",
        "extractor=digits",
        "replicates=0",
        f"out={tmp_path / 'out'}",
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(composed("evaluate", *command, "accelerator=cpu", f"features={tmp_path / 'features'}"))
    (number,) = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["measurements"]
    assert number["protocol"]["stages.1.sampler.grid.steps"] == 2


@pytest.mark.parametrize(
    ("names", "words", "told"),
    [
        ("uu", [], "it upsamples images of 1x4x4, and the stage before, {u}, draws images of 1x8x8"),
        ("bb", [], "stage 1 ({b}): this model draws from noise alone and upsamples nothing"),
        ("bu", ["stage.2.steps=3"], "stage.2.steps=3: there are 2 stages, 0 to 1"),
        ("bu", ["stage.1.stps=3"], "stage.1.stps=3: a stage can have its own batch_size, ema, eta"),
        ("bu", ["stage.1.sampler.stps=3", "stage.1.sampler=ddim"], "stage.1: unknown key 'sampler.stps'"),
        ("bu", ["stage.1.sampler=ddin"], "stage.1: sampler=ddin: no such choice; did you mean 'ddim'?"),
        ("bu", ["stage.1.num_samples=3"], "leave `stage.1.` out"),
        ("bu", ["stage.one.steps=3"], "expected stage.<number>.<key>=<value>, as stage.1.steps=25"),
        ("bu", ["stage.0.level=0.2"], "stage 0 ({b}): level=0.2"),
        ("bu", ["stage.1.steps=1000"], "stage 1 ({u}): cannot take 1000 sampling steps out of 20"),
        ("bu", ["stage.1.batch_size=0"], "stage 1 ({u}): batch_size=0 must be a whole number"),
        ("bu", ["checkpoint=elsewhere"], "leave checkpoint out"),
        ("", ["stage.0.steps=3", "checkpoint=elsewhere"], "there are no stages: give stages=[BASE,UPSAMPLER]"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_drawn(base, upsampler, tmp_path, capsys, names, words, told):
    runs = {"b": base, "u": upsampler}
    error = refused(capsys, [runs[name] for name in names], tmp_path / "out", "num_samples=2", *words)
    assert told.format(**runs) in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "0.steps=250",
        "0.guidance=[clip,classifier]",
        '1.steps="90,60,60,20,20"',
        "0.c='a b'",
        "0.c=a\\b",
        '0.c=a\\"b',
        "0.c=x\\",
    ],
)
def test_words_of_stages_survive_hydra(text):
    (word,) = gathered([f"stage.{text}"])
    assert list(composed("sample", "checkpoint=RUN", word).stage) == [text]


def test_a_command_line_has_words_of_stages():
    assert read_words("sample", ["stages=[A,B]", "stage.1.steps=25"]) == ["stages=[A,B]", 'stage=["1.steps=25"]']


def test_words_of_stages_are_told_apart():
    assert gathered(["stages=[A,B]", "steps=3"]) == ["stages=[A,B]", "steps=3"]
    words = ["0.steps=3", "1.guidance/shape@guidance.x.shape=linear", "0.sampler.eta=1"]
    assert stage_words(words, 2, SamplingOptions) == [
        ["steps=3", "sampler.eta=1"],
        ["guidance/shape@guidance.x.shape=linear"],
    ]
    with pytest.raises(ConfigError, match=r"there are 2 stages"):
        stage_words(["5.steps=3"], 2, SamplingOptions)
