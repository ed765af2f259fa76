"""A super-resolution run from its training to its evaluation, on the command line's own ways."""

import contextlib
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import param_recipe

from difflab.checkpoints import openai
from difflab.cli.evaluate import evaluate
from difflab.cli.train import train
from difflab.config.keys import ConfigError
from difflab.config.options import read_options
from difflab.data import Digits, EveryNth, Shuffled
from difflab.denoiser import Denoiser
from difflab.features import to_uint8
from difflab.guidance import Clip
from difflab.parameterizations import Epsilon
from difflab.runs import RunDirectory
from difflab.samplers import DDPM, draw
from difflab.samplers.grids import UniformGrid
from difflab.sampling import SamplingOptions
from difflab.sampling.build import model_of, plan_job
from difflab.schedules import cosine
from difflab.training import TrainedModule
from difflab.types import Condition, GivenImage, Label
from difflab.variances import LearnedRange
from running import PowerCut, composed, differences, sample_from, saved_state

SMALL = (
    "+experiment=sr/digits_4to8",
    "network.unet.width=16",
    "schedule.steps=20",
    "sampler.grid.steps=4",
    "data.batch_size=32",
    "trainer.accelerator=cpu",
    "trainer.max_steps=8",
    "eval.every=4",
    "eval.num_samples=24",
    "eval.batch_size=16",
    "eval.grid=6",
    "checkpoint.every=2",
    "logger=none",
)


GOLDEN = Path(__file__).parents[1] / "golden"
UPSAMPLER = "s01_sr"
FLAGS = (
    "--large_size 16 --small_size 4 --num_channels 32 --num_res_blocks 1 --attention_resolutions 8 --channel_mult 1,1 --num_heads 4 "
    "--class_cond True --num_classes 10 --learn_sigma True --resblock_updown True --diffusion_steps 20 --noise_schedule cosine"
)
SUPERRES = ("network=superres", "network.unet.channel_mult=[1,2]", "network.unet.attention_resolutions=[4]")
PLAIN = ("network.channel_mult=[1,2]", "network.attention_resolutions=[4]")
LOW = ("conditioning=[low_resolution]", "conditioning.low_resolution.size=4")


def trained(root: Path, *overrides: str) -> RunDirectory:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", *SMALL, f"run.root={root}", *overrides))
    return RunDirectory(Path(out.getvalue().splitlines()[-1]))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("runs"))


def given_small() -> torch.Tensor:
    """The means of 2 x 2 pixels of the first held-out digits, as training is judged by them."""
    pixels = Shuffled(EveryNth(Digits(), 10)).images(range(24))  # type: ignore[arg-type]
    return (pixels.float() / 127.5 - 1).reshape(24, 1, 4, 2, 4, 2).mean(dim=(3, 5))


def test_a_run_that_was_cut_short_ends_as_the_whole_one(run, tmp_path, monkeypatch):
    """Noise on the small images is drawn anew for the same image numbers."""
    whole_step = TrainedModule.training_step

    def cut_short(self, batch, batch_idx):
        if self.trainer.global_step == 5:
            raise PowerCut
        return whole_step(self, batch, batch_idx)

    with monkeypatch.context() as patch, contextlib.suppress(PowerCut):
        patch.setattr(TrainedModule, "training_step", cut_short)
        trained(tmp_path)
        raise AssertionError("the run ended before step 5")
    again = trained(tmp_path)
    assert again.path.name == run.path.name
    assert [d for d in differences(saved_state(again), saved_state(run)) if "callbacks" not in d.split("/")] == []
    assert again.last_scores() == run.last_scores()


def test_the_conditioning_is_part_of_what_a_run_is(tmp_path):
    few = ("trainer.max_steps=1", "eval.every=1", "eval.num_samples=4", "eval.batch_size=4", "checkpoint.every=1")
    names = {
        trained(tmp_path, *few, *more).path.name
        for more in (
            (),
            ("conditioning.low_resolution.size=2",),
            ("conditioning.low_resolution.augmentation.max_level=0.2",),
        )
    }
    assert len(names) == 3


def test_the_picture_shows_what_was_enlarged(run):
    grid = np.asarray(Image.open(run.last_grid()))
    scale, pad = 8, 2
    cell = grid[pad : pad + 64, pad : pad + 3 * 64, 0].reshape(8, scale, 24, scale)[:, 0, :, 0]
    small = ((given_small()[0, 0] + 1) * 127.5).round().numpy()
    assert np.abs(cell[::2, :8:2].astype(float) - small).max() <= 1
    original = Shuffled(EveryNth(Digits(), 10)).images([0])[0, 0].numpy()  # type: ignore[arg-type]
    assert np.abs(cell[:, 16:].astype(float) - original).max() <= 1


def test_evaluate_says_of_the_same_images_what_training_said(run):
    metrics = "metric=[psnr,ssim,consistency,frechet]"
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(
            composed(
                "evaluate",
                f"checkpoint={run.path}",
                metrics,
                "metric.ssim.deviation=0.8",
                "num_samples=24",
                "batch_size=16",
                "replicates=0",
                "accelerator=cpu",
            )
        )
    (file,) = run.path.glob("evaluations/*/results.json")
    found = {row["metric"]: row for row in json.loads(file.read_text(encoding="utf-8"))["measurements"]}
    scores = run.last_scores()
    protocols = json.loads(run.protocol.read_text(encoding="utf-8"))
    for name in ("psnr", "ssim", "consistency", "fd_digits"):
        assert found[name]["value"] == pytest.approx(scores[f"eval/warm_up/{name}@24"], rel=1e-4)
        assert found[name]["fingerprint"] == protocols[f"eval/warm_up/{name}@24"]["fingerprint"]
    assert found["psnr"]["std_error"] > 0
    assert found["psnr"]["protocol"]["low_resolution.noise"] == "level 0"


def test_small_images_from_a_file_give_the_images_of_their_originals(run, tmp_path):
    """Labels come with the images; bytes round the small ones, hence not to the last bit."""
    whole = Shuffled(EveryNth(Digits(), 10))  # type: ignore[arg-type]
    originals, labels = whole.images(range(6)).permute(0, 2, 3, 1).numpy(), whole.labels[:6].numpy()  # type: ignore[index]
    small = ((given_small()[:6] + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "large.npz", originals, labels)
    np.savez(tmp_path / "small.npz", small, labels)
    drawn = {}
    for name, more in (
        ("own", ()),
        ("large", (f"low_res={tmp_path}/large.npz",)),
        ("small", (f"low_res={tmp_path}/small.npz",)),
        ("noised", (f"low_res={tmp_path}/small.npz", "level=0.4")),
    ):
        sample_from(run.path, tmp_path / name, "num_samples=6", "batch_size=4", *more)
        with np.load(tmp_path / name / "samples_6x8x8x1.npz") as file:
            drawn[name] = file["arr_0"].astype(int)
            assert file["arr_1"].tolist() == labels.tolist()
    assert np.array_equal(drawn["own"], drawn["large"])
    assert np.abs(drawn["small"] - drawn["large"]).max() <= 6
    assert np.abs(drawn["noised"] - drawn["large"]).max() > 6


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*SUPERRES, "evaluation=samples"), "SuperRes enlarges a small image, which nothing makes"),
        ((*PLAIN, "evaluation=enlargements"), "evaluation=enlargements upsamples small images, which nothing makes"),
        ((*LOW, *PLAIN), "needs both network=superres and conditioning"),
        ((*LOW[:1], *SUPERRES), "conditioning.low_resolution.size must be given"),
    ],
)
def test_parts_that_do_not_go_together_are_named(overrides, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(composed("train", *overrides, "trainer.accelerator=cpu", "logger=none", f"run.root={tmp_path}"))
    assert message in capsys.readouterr().err


def test_a_model_that_draws_from_noise_alone_enlarges_nothing(run, tmp_path):
    config = composed("sample", f"checkpoint={run.path}", f"low_res={tmp_path}")
    options = read_options(SamplingOptions, config)
    model = model_of(options)
    model = replace(model, config=dict(model.config) | {"conditioning": {}})
    with pytest.raises(ConfigError, match="upsamples nothing"):
        plan_job(options, model, tmp_path / "out")


@pytest.fixture(scope="module")
def upsampler(tmp_path_factory) -> Path:
    """A small upsampler with OpenAI's names and made-up weights."""
    listed = json.loads(gzip.decompress((GOLDEN / "unet_params.json.gz").read_bytes()))[UPSAMPLER]
    path = tmp_path_factory.mktemp("released") / "up.pt"
    torch.save({p["name"]: torch.from_numpy(param_recipe(p["name"], p["shape"])).float() for p in listed}, path)
    return path


def test_a_released_upsampler_enlarges_a_file(upsampler, tmp_path, capsys):
    """Against the parts put together by hand: means over pixels, 20 cosine steps, learned variances, clipping."""
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=generator)
    np.savez(tmp_path / "given.npz", originals.permute(0, 2, 3, 1).numpy(), np.array([4, 0, 9]))
    given = ("num_samples=3", "batch_size=3", f"flags='{FLAGS}'", f"low_res={tmp_path}/given.npz")
    sample_from(f"openai:{upsampler}", tmp_path / "out", *given)
    schedule = cosine(20, time_scale=1.0)
    denoiser = Denoiser(openai.load(upsampler, FLAGS).network, schedule, Epsilon(), LearnedRange())
    small = torch.nn.functional.interpolate(originals.float() / 127.5 - 1, (4, 4), mode="area")
    cond = Condition(label=Label(torch.tensor([4, 0, 9])), image=GivenImage(small))
    sampler = DDPM(UniformGrid(20), LearnedRange())
    with torch.no_grad():
        expected = to_uint8(draw(Clip()(denoiser), schedule, sampler, (3, 16, 16), torch.arange(3), cond))
    with np.load(tmp_path / "out" / "samples_3x16x16x3.npz") as file:
        found = torch.from_numpy(file["arr_0"]).permute(0, 3, 1, 2).int()
        assert file["arr_1"].tolist() == [4, 0, 9]
    assert (found - expected.int()).abs().max() <= 1
    with pytest.raises(SystemExit):
        sample_from(f"openai:{upsampler}", tmp_path / "none", "num_samples=3", f"flags='{FLAGS}'")
    assert "give low_res=FILE" in capsys.readouterr().err
