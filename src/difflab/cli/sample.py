"""Sampling: a trained model -> images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difflab.cli.entry import arguments, help_text, run_hydra, wants_help

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from difflab.config.run import DictConfig
    from difflab.sampling import SamplingOptions

EXAMPLES = [
    ("sample checkpoint=runs/cosine_adagn", "64 images from a run's first EMA"),
    (
        "sample checkpoint=RUN num_samples=50000 batch_size=250 accelerator=gpu devices=8 precision=bf16-mixed",
        "many images on eight GPUs; started again it goes on",
    ),
    ("sample checkpoint=RUN 'format=[npz,zip]' track=online out=online", "the weights themselves, two formats"),
    ("sample checkpoint=RUN 'classes=[1,7]' num_samples=100", "two classes in turn"),
    ("sample checkpoint=RUN ema=posthoc ema.std=0.05", "an average of another length, from the run's snapshots"),
    ("sample checkpoint=RUN sampler=ddim sampler.eta=1 steps=10", "another sampler"),
    ("sample checkpoint=RUN trajectory=10 animate=walk", "how images emerge; and a film from seed to seed"),
    ("sample checkpoint=RUN 'guidance=[classifier_free,clip]' guidance.classifier_free.scale=3", "guided"),
    (
        "sample checkpoint=openai:64x64_diffusion.pt sampler=ddim steps=ddim25 quantization=truncated",
        "a released model of ADM, as its own scripts draw and quantize",
    ),
    (
        "sample 'stages=[BASE,UPSAMPLER]' stage.0.steps=250 stage.1.steps=25 'stage.0.guidance=[classifier_free,clip]'",
        "a cascade: small images, upsampled; stage.<number>.<key> is said of one stage",
    ),
]

GROUPS = frozenset({"sampler", "sampler/grid", "guidance", "conditions", "animate", "format", "quantization", "logger"})
VALUES = [
    "stages        in place of checkpoint: a model that draws small images and those that upsample them, one after the other;",
    "stage.1.<key> for one of them: batch_size, ema, eta, flags, guidance, level, precision, quantization, sampler, scale, steps, track",
    "checkpoint    a run directory, a .ckpt or .safetensors file of a run, or openai:<path> of a released model",
    "flags         openai: the flags that the model was trained with, where the file's name does not tell them",
    "track         which weights: the name of an EMA, or online; the run's first EMA if not given",
    "ema=posthoc ema.std=0.05   an average reconstructed from the run's snapshots",
    'steps         sampling steps (250, ddim25, "10,20,30"); eta: of DDIM; scale: w of the guidance that has one; in place of the run\'s',
    "num_samples   how many images; batch_size: how many at a time; first_seed: the seed of the first",
    "classes       3, [1,2] in turn, or labels.npy of a label per image; all in turn if not given",
    "precision     32-true, bf16-mixed, 16-mixed",
    "out           folder of one set: results, and what is drawn so far; overwrite=true replaces other images there",
    "format        one or several: npz (OpenAI's), folder, zip (EDM's), webdataset; none leaves the shards",
    "trajectory    moments of the walk from noise to the first images: trajectory.png, .gif and .npz beside the set; 0 for none",
    "animate       walk, classes or reverse: a film of so many frames=24 beside the set",
    "logger        wandb or none: the grid in W&B; that of a run that was mirrored goes there anyhow",
    "keep_shards   true keeps them beside the formats, for good, so that the set can grow; grid: images in grid.png",
    "trust         packages of your own that a checkpoint's configuration may name: trust=my_package (see docs/security.md)",
    "accelerator, devices, num_nodes   cpu, gpu; processes per node (torchrun and srun are understood); threads: per process",
]


def main() -> None:
    """The command line of sample.py."""
    if wants_help(arguments()):
        print(
            help_text(
                "sample", "draws images from a run or a released checkpoint", EXAMPLES, VALUES, GROUPS.__contains__
            )
        )
    else:
        run_hydra("sample", sample, checked)


def sample(config: DictConfig) -> None:
    """Draws images and writes them to `out`; what an earlier start of the same command has drawn is kept."""
    from difflab.cli.endings import ends_in_a_line

    with ends_in_a_line(str(config.out)):
        _sample(config)


def checked(config: DictConfig) -> Sequence[SamplingOptions]:
    """The options of the model, or of each stage of a cascade.

    Raises:
        ConfigError: What can be known to be wrong before anything is read.
    """
    from difflab.config.keys import check_nothing_missing
    from difflab.config.options import options_of_stages
    from difflab.config.values import Folder, check_value
    from difflab.evaluation.wandb import check_mirror
    from difflab.sampling import SamplingOptions

    stages = options_of_stages(config, "sample", SamplingOptions)
    if config.stages and "checkpoint" not in config:
        config.checkpoint = None
    check_nothing_missing(config)
    check_value("out", config.out, Folder)
    check_mirror(stages[-1].logger)
    return stages


def _sample(config: DictConfig) -> None:
    from pathlib import Path

    from difflab.config.build import build
    from difflab.config.trust import trust
    from difflab.distributed.meeting import meeting
    from difflab.evaluation.wandb import mirror_samples
    from difflab.runs.saved_checkpoints import own_code
    from difflab.runtime import launched_rank
    from difflab.sampling.beside import Beside
    from difflab.sampling.build import plan_stages, processes_of
    from difflab.sampling.draw import draw_job, write_drawn
    from difflab.sampling.formats import check_pictures

    stages = checked(config)
    options = stages[-1]
    trust(config.trust)
    processes = processes_of(options)
    formats = build(options.format or {})
    job = plan_stages(stages, Path(str(config.out)))
    check_pictures(formats, job.image_shape)
    beside = Beside(job)
    meeting().roll_call({"model or settings": job.folder.plan.fingerprint, "difflab": own_code()})
    done = job.folder.finished(job.request)
    is_done = meeting().agree(f"end of {job.folder.path}", lambda: "" if done is None else "there")
    if is_done and launched_rank() == 0 and done is not None:
        print(f"already complete: the same command has drawn its {options.num_samples} images")
        _report(done)
    if is_done and not beside.is_asked_for:
        return
    meeting().adjourn()
    if not is_done and launched_rank() == 0 and job.folder.was_emptied():
        print("the shards of what was written are gone (keep_shards=true keeps them): all images are drawn again")
    try:
        drawn = None if is_done else draw_job(job, processes)
        if drawn is not None and processes.rank == 0:
            _report(write_drawn(job, drawn, formats))
        _report(shown := beside.write(processes, drawn))
        if drawn is not None and processes.rank == 0:
            mirror_samples(job, drawn.grid, shown)
    finally:
        processes.finish()


def _report(written: dict[str, Path]) -> None:
    for name, path in written.items():
        print(f"{name:10}  {path}")
