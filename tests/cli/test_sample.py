"""Images from runs, checkpoints and released models."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import param_recipe

from difflab.checkpoints import openai
from difflab.cli.sample import sample
from difflab.config.options import read_options
from difflab.denoiser import Denoiser
from difflab.features import to_uint8
from difflab.guidance import Clip
from difflab.metrics import Protocol
from difflab.parameterizations import Epsilon
from difflab.runs.info import info
from difflab.samplers import DDIM, DDPM, draw
from difflab.samplers.grids import UniformGrid
from difflab.sampling import SamplingOptions, drawer
from difflab.sampling.build import model_of, plan_job
from difflab.schedules import cosine
from difflab.types import Condition, Label
from difflab.variances import LearnedRange
from running import Outcome, composed, sample_from, train_small

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parents[1] / "golden"
FLAGS = (
    "--image_size 16 --num_channels 32 --num_res_blocks 1 --attention_resolutions 8 --channel_mult 1,1 --num_head_channels 32 "
    "--class_cond True --num_classes 10 --learn_sigma True --resblock_updown True --use_new_attention_order True "
    "--diffusion_steps 20 --noise_schedule cosine"
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    guided = ["condition_dropout=0.2", "ema=[warm_up,constant]", "checkpoint.keep_last=4"]
    return train_small(tmp_path_factory.mktemp("my runs ü"), *guided)


def archive_in(folder: Path) -> np.lib.npyio.NpzFile:
    (path,) = folder.glob("samples_*.npz")
    return np.load(path)


def pixels(folder: Path) -> np.ndarray:
    return archive_in(folder)["arr_0"].astype(int)


def drawn(outcome: Outcome, folder: Path, *overrides: str) -> np.ndarray:
    sample_from(outcome.run.path, folder, "num_samples=10", *overrides)
    return pixels(folder)


def test_the_file_is_laid_out_as_adms(outcome, tmp_path):
    printed = sample_from(outcome.run.path, tmp_path, "num_samples=23", "batch_size=10", "grid=20")
    archive = np.load(tmp_path / "samples_23x8x8x1.npz")
    assert archive["arr_0"].dtype == np.uint8
    assert archive["arr_0"].shape == (23, 8, 8, 1)
    assert archive["arr_1"].tolist() == [i % 10 for i in range(23)]
    assert Image.open(tmp_path / "grid.png").size == (
        5 * 66 + 2,
        4 * 66 + 6 + 2,
    )  # two lines of five classes, two images of each
    assert [line.split() for line in printed] == [
        ["npz", str(tmp_path / "samples_23x8x8x1.npz")],
        ["grid", str(tmp_path / "grid.png")],
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "complete.json",
        "grid.png",
        "plan.json",
        "samples_23x8x8x1.npz",
    ]


def test_they_are_the_images_that_the_run_scored(outcome, tmp_path):
    """Seeds 0 .. 19 of the first track, as in the run's last picture."""
    sample_from(outcome.run.path, tmp_path, "num_samples=20", "grid=20")
    scored = np.asarray(Image.open(outcome.run.samples / "warm_up_00000012.png")).astype(int)
    shown = np.asarray(Image.open(tmp_path / "grid.png")).astype(int)
    assert scored.shape == shown.shape
    assert np.abs(scored - shown).max() <= 1
    assert scored.std() > 10


def test_an_image_depends_on_its_seed_alone(outcome, tmp_path):
    ten = drawn(outcome, tmp_path / "10", "batch_size=10")
    three = drawn(outcome, tmp_path / "3", "batch_size=3")
    later = drawn(outcome, tmp_path / "later", "first_seed=4")
    assert np.abs(ten - three).max() <= 1
    assert np.abs(ten[4:] - later[:6]).max() <= 1
    assert np.abs(ten[:6] - later[4:]).max() > 10


def test_a_checkpoint_file_is_its_own_step(outcome, tmp_path):
    newest = drawn(outcome, tmp_path / "run")
    for step, same in ((12, True), (6, False)):
        sample_from(outcome.run.checkpoints / f"step-{step:08d}.ckpt", tmp_path / str(step), "num_samples=10")
        assert (pixels(tmp_path / str(step)) == newest).all() == same


def test_tracks_are_told_apart(outcome, tmp_path):
    """The weights of three tracks of one checkpoint, against the checkpoint's own tensors."""
    from difflab.checkpoints.load import load_model

    (checkpoint,) = outcome.run.checkpoints.glob("step-00000012.ckpt")
    saved = torch.load(checkpoint, weights_only=True)
    shadows = saved["callbacks"]["EMACallback"]["shadows"]
    for track in ("warm_up", "constant", "online"):
        weights = dict(load_model(str(outcome.run.path), track, None, None).denoiser.named_parameters())
        for name, value in weights.items():
            expected = saved["state_dict"][f"denoiser.{name}"] if track == "online" else shadows[track][name]
            assert torch.equal(value.detach(), expected), (track, name)
    assert (drawn(outcome, tmp_path / "default") == drawn(outcome, tmp_path / "named", "track=warm_up")).all()
    assert (drawn(outcome, tmp_path / "default") != drawn(outcome, tmp_path / "online", "track=online")).any()


def test_another_sampler_and_another_guidance(outcome, tmp_path):
    own = drawn(outcome, tmp_path / "own")
    same = drawn(outcome, tmp_path / "same", "sampler=ddim", "sampler.grid.steps=4")
    other = drawn(outcome, tmp_path / "ddpm", "sampler=ddpm", "sampler.grid.steps=20")
    unit = drawn(outcome, tmp_path / "unit", "guidance=[classifier_free,clip]", "guidance.classifier_free.scale=1")
    strong = drawn(outcome, tmp_path / "strong", "guidance=[classifier_free,clip]", "guidance.classifier_free.scale=4")
    assert np.abs(own - same).max() <= 1
    assert np.abs(own - unit).max() <= 1  # a scale of 1 is no guidance
    assert np.abs(own - other).max() > 10
    assert np.abs(own - strong).max() > 10


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A small class-conditional model with OpenAI's names and made-up weights."""
    listed = json.loads(gzip.decompress((GOLDEN / "unet_params.json.gz").read_bytes()))["u04_adm_new_cls"]
    path = tmp_path_factory.mktemp("released") / "small.pt"
    torch.save({p["name"]: torch.from_numpy(param_recipe(p["name"], p["shape"])).float() for p in listed}, path)
    return path


def test_a_released_model_is_sampled_as_its_flags_say(released, tmp_path):
    """Against the parts put together by hand: 20 cosine steps whose numbers are the network's times, learned variances, clipping."""
    sample_from(f"openai:{released}", tmp_path / "own", "num_samples=4", "batch_size=3", f"flags='{FLAGS}'")
    schedule = cosine(20, time_scale=1.0)
    denoiser = Denoiser(openai.load(released, FLAGS).network, schedule, Epsilon(), LearnedRange())
    seeds = torch.arange(4)
    cond = Condition(label=Label(seeds))
    for sampler, folder in ((DDPM(UniformGrid(20), LearnedRange()), "own"), (DDIM(UniformGrid("ddim5")), "ddim")):
        if folder == "ddim":
            ddim = ["sampler=ddim", "sampler.grid.steps=ddim5"]
            sample_from(f"openai:{released}", tmp_path / folder, "num_samples=4", f"flags='{FLAGS}'", *ddim)
        with torch.no_grad():
            expected = to_uint8(draw(Clip()(denoiser), schedule, sampler, (3, 16, 16), seeds, cond))
        archive = archive_in(tmp_path / folder)
        assert archive["arr_1"].tolist() == [0, 1, 2, 3]
        assert np.abs(archive["arr_0"].astype(int) - expected.permute(0, 2, 3, 1).numpy()).max() <= 1
    assert (pixels(tmp_path / "own") != pixels(tmp_path / "ddim")).any()


def test_times_of_a_model_are_those_of_its_project(released, tmp_path, capsys):
    """improved-diffusion's default rescales them to 0 .. 1000, guided-diffusion's does not; where T = 1000 that is the same."""

    def schedule(path, flags):
        return model_of(
            read_options(SamplingOptions, composed("sample", f"checkpoint=openai:{path}", f"flags='{flags}'"))
        ).denoiser.schedule

    of_improved = tmp_path / "cifar10_uncond_50M_500K.pt"
    shutil.copy(released, of_improved)
    assert schedule(of_improved, FLAGS).time_scale == 1000 / 20
    assert schedule(of_improved, FLAGS + " --rescale_timesteps False").time_scale == 1
    assert schedule(released, FLAGS).time_scale == 1
    readme = "--image_size 64 --num_channels 128 --num_res_blocks 3 --learn_sigma True --diffusion_steps 4000 --noise_schedule cosine"
    said = refusal(capsys, f"openai:{released}", tmp_path / "out", f"flags='{readme}'")
    assert "add --rescale_timesteps True for a model of improved-diffusion" in said


def test_weights_that_are_not_the_flags_are_one_line(released, tmp_path, capsys):
    message = refusal(
        capsys, f"openai:{released}", tmp_path, f"flags='{FLAGS.replace('num_channels 32', 'num_channels 64')}'"
    )
    assert "num_channels" in message
    message = refusal(capsys, f"openai:{released}", tmp_path)
    assert "flags" in message
    assert "track" in refusal(capsys, f"openai:{released}", tmp_path, f"flags='{FLAGS}'", "track=ema")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["track=slow"], "track=slow: "),
        (["track=slow"], "warm_up, constant, online"),
        (["sampler=ddim", "sampler.grid.steps=21"], "21"),
        (["num_samples=0"], "num_samples=0 must be a whole number, at least 1"),
        (["batch_size=0"], "batch_size=0"),
        (["num_samples=null"], "num_samples=null must be a whole number"),
        (["num_samples=abc"], "num_samples=abc must be a whole number, at least 1"),
        (["batch_size=1.5"], "batch_size=1.5 must be a whole number"),
        (["grid=abc"], "grid=abc must be a whole number"),
        (["first_seed=abc"], "first_seed=abc must be a whole number, at least 0"),
        (["first_seed=-1"], "first_seed=-1 must be a whole number, at least 0"),
        (["threads=true"], "threads=true must be a whole number"),
        (["devices=abc"], "devices=abc must be a whole number, at least 1, or null"),
        (["scale=abc"], "scale=abc must be a number"),
        (["scale=.inf"], "scale="),
        (["eta=abc"], "eta=abc must be a number, at least 0"),
        (["eta=-1"], "eta=-1 must be a number, at least 0"),
        (["steps=abc"], "steps=abc must be a number of steps"),
        (["steps=0"], "steps=0 must be a number of steps"),
        (["steps=1.5"], "steps=1.5 must be a number of steps"),
        (["steps=[1,2]"], "must be a number of steps"),
        (["sampler=ddim", "sampler.eta=abc"], "sampler.eta=abc must be a number"),
        (
            ["guidance=[classifier_free,clip]", "guidance.classifier_free.scale=abc"],
            "guidance.classifier_free.scale=abc",
        ),
        (["ema=posthoc", "ema.std=abc"], "ema.std=abc must be a number"),
        (["overwrite=1"], "overwrite=1 must be true or false"),
        (["keep_shards=null"], "keep_shards=null must be true or false"),
        (["track=[a,b]"], "must be the name of one EMA, or online"),
        (["classes=1.5"], "1.5 is no class number"),
        (["classes=10"], "no class 10, the model knows 0 .. 9"),
        (["classes=[3,-1]"], "no class -1"),
        (["classes=nothing.npy"], "nothing.npy"),
        (["precision=16"], "precision=16"),
        (["steps=21"], "21"),
        (["devices=0"], "devices=0"),
        (["accelerator=abacus"], "accelerator=abacus"),
        (["ema=posthoc", "track=constant"], "track=constant"),
        (["format=webdataset", "format.webdataset.images_per_tar=0"], "images_per_tar=0"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(outcome, tmp_path, capsys, overrides, message):
    assert message in refusal(capsys, outcome.run.path, tmp_path, *overrides)


def test_a_missing_model_is_one_line(tmp_path, capsys):
    absent = tmp_path / "absent"
    for name in (absent, f"openai:{absent}.pt"):
        assert f"{name}: there is no such file" in refusal(capsys, name, tmp_path)
    (empty := tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    assert "there is no whole checkpoint" in refusal(capsys, empty.parent, tmp_path)
    (alone := tmp_path / "alone.ckpt").write_bytes(b"")
    assert "config.yaml" in refusal(capsys, alone, tmp_path)


def test_a_place_near_a_run_names_the_run(outcome, tmp_path, capsys):
    run = outcome.run.path
    for name in (run / "config.yaml", run / "checkpoints", run / "samples"):
        said = refusal(capsys, name, tmp_path)
        assert f"checkpoint={name}" in said
        assert said.endswith(f"; give checkpoint={run}\n")
    (model := tmp_path / "model.pt").write_bytes(b"")
    assert f"checkpoint=openai:{model}" in refusal(capsys, model, tmp_path)


def test_wrong_values_are_found_before_the_model_is_read(tmp_path, capsys):
    assert "num_samples=abc" in refusal(capsys, tmp_path / "absent", tmp_path, "num_samples=abc")


def test_the_command_without_a_model_says_what_to_give(tmp_path, capsys):
    with pytest.raises(SystemExit):
        sample(composed("sample", f"out={tmp_path}"))
    assert capsys.readouterr().err == "error: checkpoint must be given: add checkpoint=... to the command\n"


def test_a_torn_checkpoint_file_is_one_line(outcome, tmp_path, capsys):
    torn = outcome.run.checkpoints / "torn.ckpt"
    torn.write_bytes((outcome.run.checkpoints / "step-00000012.ckpt").read_bytes()[:5000])
    assert str(torn) in refusal(capsys, torn, tmp_path)


def test_guidance_without_dropped_labels_is_refused(tmp_path, capsys):
    run = train_small(tmp_path, "trainer.max_steps=2", "eval.num_samples=4").run
    said = refusal(capsys, run.path, tmp_path / "out", "guidance=[classifier_free,clip]")
    assert "condition_dropout=0.1" in said
    assert not (tmp_path / "out").exists()


def test_guidance_away_from_a_condition_that_is_not_there_is_refused_before_work(tmp_path, capsys):
    short = ["trainer.max_steps=2", "eval.num_samples=4", "condition_dropout=0.1"]
    run = train_small(tmp_path, "data.num_classes=0", "embedder=none", *short).run
    said = refusal(capsys, run.path, tmp_path / "out", "guidance=[adaptive_projected,clip]")
    assert "guidance 'adaptive_projected': " in said
    assert "condition that can be dropped" in said
    assert not (tmp_path / "out").exists()


def test_classes_steps_and_quantization(outcome, tmp_path):
    own = drawn(outcome, tmp_path / "own")
    three = drawn(outcome, tmp_path / "three", "classes=3")
    assert archive_in(tmp_path / "three")["arr_1"].tolist() == [3] * 10
    assert np.abs(own[3] - three[3]).max() <= 1  # the image of seed 3 has class 3 in both
    assert np.abs(own[4] - three[4]).max() > 1
    drawn(outcome, tmp_path / "two", "classes=[7,2]")
    assert archive_in(tmp_path / "two")["arr_1"].tolist() == [7, 2] * 5
    stepped = drawn(outcome, tmp_path / "stepped", "steps=20")
    assert np.abs(stepped - drawn(outcome, tmp_path / "named", "sampler=ddim", "sampler.grid.steps=20")).max() <= 1
    assert np.abs(stepped - own).max() > 1
    lower = drawn(outcome, tmp_path / "lower", "quantization=truncated")
    assert set(np.unique(own - lower)) == {0, 1}
    assert np.abs(own - drawn(outcome, tmp_path / "bf16", "precision=bf16-mixed")).max() in range(1, 60)


def test_the_same_command_again(outcome, tmp_path):
    drawn(outcome, tmp_path, "batch_size=4")
    (file,) = tmp_path.glob("samples_*.npz")
    before = file.stat().st_mtime_ns
    said = sample_from(outcome.run.path, tmp_path, "num_samples=10", "batch_size=4")
    assert "already complete" in said[0]
    assert file.stat().st_mtime_ns == before
    file.unlink()
    sample_from(outcome.run.path, tmp_path, "num_samples=10", "batch_size=4")
    assert file.exists()


def test_a_set_grows_from_the_shards_that_were_kept(outcome, tmp_path):
    kept = ["batch_size=4", "keep_shards=true"]
    drawn(outcome, tmp_path / "grown", *kept)
    first = tmp_path / "grown" / "shards" / "00000000.safetensors"
    before = first.stat().st_mtime_ns
    sample_from(outcome.run.path, tmp_path / "grown", *kept, "num_samples=17", "format=[npz,zip]")
    grown = np.load(tmp_path / "grown" / "samples_17x8x8x1.npz")["arr_0"]
    assert first.stat().st_mtime_ns == before
    sample_from(outcome.run.path, tmp_path / "fresh", "num_samples=17", "batch_size=4")
    assert np.array_equal(grown, np.load(tmp_path / "fresh" / "samples_17x8x8x1.npz")["arr_0"])


def test_what_was_written_of_the_images_before_goes(outcome, tmp_path):
    """Or it would be taken for that of the new ones, beside whose plan it lies."""

    def files():
        return {path.name for path in tmp_path.iterdir()} - {".lock", "plan.json", "complete.json", "grid.png"}

    (tmp_path / "mine.txt").write_text("", encoding="utf-8")
    drawn(outcome, tmp_path, "format=[npz,zip,folder]")
    drawn(outcome, tmp_path, "format=[npz,webdataset]")  # the same images
    assert files() == {"mine.txt", "samples_10x8x8x1.npz", "images.zip", "images", "webdataset"}
    said = sample_from(outcome.run.path, tmp_path, "num_samples=12", "format=zip")
    (removed,) = [line for line in said if "removed" in line]
    assert {"samples_10x8x8x1.npz", "images.zip", "images", "webdataset"} <= set(re.split("[ ,]+", removed))
    assert files() == {"mine.txt", "images.zip"}
    said = sample_from(outcome.run.path, tmp_path, "num_samples=12", "steps=3", "overwrite=true")
    assert not any("drawn again" in line for line in said)
    assert files() == {"mine.txt", "samples_12x8x8x1.npz"}


def test_shards_that_were_left_on_purpose_are_not_removed_by_a_later_command(outcome, tmp_path):
    sample_from(outcome.run.path, tmp_path, "num_samples=13", "batch_size=4", "format=none")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    assert len(before) == 4
    sample_from(outcome.run.path, tmp_path, "num_samples=5", "batch_size=4", "format=npz")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()} == before


def test_other_images_in_the_folder_are_refused(outcome, tmp_path, capsys):
    before = drawn(outcome, tmp_path)
    said = refusal(capsys, outcome.run.path, tmp_path, "num_samples=10", "track=online", "steps=10")
    for difference in ("sampler.grid.steps (4 against 10)", "track (warm_up against online)", "weights_sha256"):
        assert difference in said
    assert (pixels(tmp_path) == before).all()
    sample_from(outcome.run.path, tmp_path, "num_samples=10", "track=online", "overwrite=true")
    assert (pixels(tmp_path) != before).any()


def test_a_protocol_says_what_the_images_are_and_not_how_they_were_made(outcome, tmp_path):
    def fields(*overrides):
        config = composed("sample", f"checkpoint={outcome.run.path}", f"out={tmp_path / 'out'}", *overrides)
        options = read_options(SamplingOptions, config)
        plan = plan_job(options, model_of(options), Path(config.out))
        return Protocol.of(plan.protocol_fields), plan.subject

    own, subject = fields("num_samples=10")
    assert own.fields["seeds"] == "0 .. 9"
    assert own.fields["sampler.grid.steps"] == 4
    how = ["batch_size=3", "out=elsewhere", "devices=2", "grid=3", "format=zip", "keep_shards=true", "threads=2"]
    assert own == fields("num_samples=10", *how)[0]
    what = [
        "sampler=ddpm steps=4",
        "steps=5",
        "track=online",
        "first_seed=1",
        "classes=1",
        "precision=bf16-mixed",
        "quantization=truncated",
        "guidance=none",
    ]
    fingerprints = {fields("num_samples=10", *one.split())[0].fingerprint for one in what}
    assert len({own.fingerprint, *fingerprints}) == len(what) + 1
    assert subject == {
        "checkpoint": str(outcome.run.checkpoints / "step-00000012.ckpt"),
        "step": 12,
        "weights_sha256": info(outcome.run.path)["weights_sha256"]["warm_up"],
        "seed": 0,
        "run": "cosine_adagn",
    }


def test_a_signal_stops_after_the_batch_and_the_same_command_goes_on(outcome, tmp_path, monkeypatch, capsys):
    whole = drawn(outcome, tmp_path / "whole", "batch_size=2")
    draw = drawer.draw_from
    seen = []

    def told_to_stop(noise, *what, **more):
        seen.append(noise.number.tolist())
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(noise, *what, **more)

    monkeypatch.setattr(drawer, "draw_from", told_to_stop)
    with pytest.raises(SystemExit) as exit_:
        drawn(outcome, tmp_path / "stopped", "batch_size=2")
    assert exit_.value.code == 75
    assert "4 of 10 drawn; run the same command again" in capsys.readouterr().err
    assert (drawn(outcome, tmp_path / "stopped", "batch_size=2") == whole).all()
    assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_any_number_of_processes_draws_the_same_bits_also_after_a_kill(outcome, tmp_path):
    """Two processes are killed in the middle; one, and two, go on from what they left. The files are equal byte for byte."""
    overrides = ["num_samples=70", "batch_size=4", "sampler=ddpm", "sampler.grid.steps=10"]
    sample_from(outcome.run.path, tmp_path / "one", *overrides)

    def two_processes(out: Path) -> subprocess.Popen:
        command = [sys.executable, "sample.py", f"checkpoint={outcome.run.path}", f"out={out}", "accelerator=cpu"]
        return subprocess.Popen(
            [*command, "devices=2", *overrides],
            cwd=Path(__file__).parents[2],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    killed, shards = tmp_path / "two", tmp_path / "two" / "shards"
    process = two_processes(killed)
    while len(list(shards.glob("0*"))) < 4 and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    left = sorted(path.name for path in shards.glob("0*"))
    assert 4 <= len(left) < 18
    shutil.copytree(killed, tmp_path / "two_then_one")
    sample_from(outcome.run.path, tmp_path / "two_then_one", *overrides)
    process = two_processes(killed)
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    assert f"sampling: {4 * len(left)}/70 images are there already" in printed
    name = "samples_70x8x8x1.npz"
    for out in (killed, tmp_path / "two_then_one"):
        assert (out / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def refusal(capsys, checkpoint: object, out: Path, *overrides: str) -> str:
    """The one line with which a command is refused."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        sample_from(checkpoint, out, *overrides)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error
