"""Images from runs, checkpoints and released models."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import param_recipe

from difflab.denoiser import Denoiser
from difflab.guidance import Clip
from difflab.interop import openai
from difflab.metrics import to_uint8
from difflab.parameterizations import Epsilon
from difflab.samplers import DDIM, DDPM, draw
from difflab.samplers.grids import UniformGrid
from difflab.schedules import cosine
from difflab.types import Condition
from difflab.variances import LearnedRange
from running import Outcome, sample_from, train_small

GOLDEN = Path(__file__).parents[1] / "golden"
FLAGS = (
    "--image_size 16 --num_channels 32 --num_res_blocks 1 --attention_resolutions 8 --channel_mult 1,1 --num_head_channels 32 "
    "--class_cond True --num_classes 10 --learn_sigma True --resblock_updown True --use_new_attention_order True "
    "--diffusion_steps 20 --noise_schedule cosine"
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    guided = ["condition_dropout=0.2", "ema=[warm_up,constant]", "checkpoint.keep_last=4"]
    return train_small(tmp_path_factory.mktemp("runs"), *guided)


def pixels(folder) -> np.ndarray:
    return np.load(folder / "images.npz")["arr_0"].astype(int)


def drawn(outcome, folder, *overrides) -> np.ndarray:
    sample_from(outcome.run.path, folder, "num_samples=10", *overrides)
    return pixels(folder)


def test_the_file_is_laid_out_as_adms(outcome, tmp_path):
    printed = sample_from(outcome.run.path, tmp_path, "num_samples=23", "batch_size=10", "grid=20")
    archive = np.load(tmp_path / "images.npz")
    assert archive["arr_0"].dtype == np.uint8
    assert archive["arr_0"].shape == (23, 8, 8, 1)
    assert archive["arr_1"].tolist() == [i % 10 for i in range(23)]
    assert Image.open(tmp_path / "grid.png").size == (10 * 66 + 2, 2 * 66 + 2)
    assert printed == [f"images  {tmp_path / 'images.npz'}", f"grid    {tmp_path / 'grid.png'}"]


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
    from difflab.cli.model_source import load_model

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
    cond = Condition(label=seeds)
    for sampler, folder in ((DDPM(UniformGrid(20), LearnedRange()), "own"), (DDIM(UniformGrid("ddim5")), "ddim")):
        if folder == "ddim":
            ddim = ["sampler=ddim", "sampler.grid.steps=ddim5"]
            sample_from(f"openai:{released}", tmp_path / folder, "num_samples=4", f"flags='{FLAGS}'", *ddim)
        with torch.no_grad():
            expected = to_uint8(draw(Clip()(denoiser), schedule, sampler, (3, 16, 16), seeds, cond))
        archive = np.load(tmp_path / folder / "images.npz")
        assert archive["arr_1"].tolist() == [0, 1, 2, 3]
        assert np.abs(archive["arr_0"].astype(int) - expected.permute(0, 2, 3, 1).numpy()).max() <= 1
    assert (pixels(tmp_path / "own") != pixels(tmp_path / "ddim")).any()


def test_weights_that_are_not_the_flags_are_one_line(released, tmp_path, capsys):
    message = refusal(
        capsys, f"openai:{released}", tmp_path, f"flags='{FLAGS.replace('num_channels 32', 'num_channels 64')}'"
    )
    assert "num_channels" in message
    message = refusal(capsys, f"openai:{released}", tmp_path)
    assert "flags" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["track=slow"], "track=slow: "),
        (["track=slow"], "warm_up, constant, online"),
        (["sampler=ddim", "sampler.grid.steps=21"], "21"),
        (["num_samples=0"], "num_samples=0"),
        (["batch_size=0"], "batch_size=0"),
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


def test_a_torn_checkpoint_file_is_one_line(outcome, tmp_path, capsys):
    torn = outcome.run.checkpoints / "torn.ckpt"
    torn.write_bytes((outcome.run.checkpoints / "step-00000012.ckpt").read_bytes()[:5000])
    assert str(torn) in refusal(capsys, torn, tmp_path)


def test_guidance_without_dropped_labels_is_refused(tmp_path, capsys):
    run = train_small(tmp_path, "trainer.max_steps=2", "eval.num_samples=4").run
    said = refusal(capsys, run.path, tmp_path / "out", "guidance=[classifier_free,clip]")
    assert "condition_dropout=0.1" in said
    assert not (tmp_path / "out").exists()


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
