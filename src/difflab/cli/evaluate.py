"""Evaluation: images -> numbers with intervals and protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difflab.cli.entry import arguments, help_text, run_hydra, wants_help
from difflab.reading import printable
from difflab.runtime.invocation import program

if TYPE_CHECKING:
    from omegaconf import DictConfig

EXAMPLES = [
    ("evaluate checkpoint=runs/cosine_adagn", "10,000 images of a run against its training data"),
    (
        "evaluate checkpoint=RUN num_samples=50000 accelerator=gpu devices=8 'metric=[frechet,spatial_frechet,kernel]'",
        "published size, eight GPUs, other metrics; what is drawn and embedded already is used again",
    ),
    (
        "evaluate 'checkpoint=[RUN_A,RUN_B,RUN_C]'",
        "seeds of one experiment: sampling and training noise apart",
    ),
    (
        "evaluate checkpoint=RUN 'sweep.scale=[1,1.5,2,3]' 'sweep.steps=[10,25]'",
        "settings on one noise bank: fronts, and the best one, chosen on one half and reported on the other",
    ),
    (
        "evaluate samples=samples.npz reference=VIRTUAL_imagenet64_labeled.npz extractor=inception",
        "OpenAI's files: FID and sFID against the statistics, precision and recall against the images",
    ),
    ("evaluate samples=folder data=cifar10 data.dataset.split=test", "a folder of images against a data set"),
    (
        "evaluate samples=cifar10 data=cifar10 data.dataset.split=test extractor=inception",
        "training images against test images: the distance that no model can be expected to beat",
    ),
    ("evaluate checkpoint=RUN bits_per_dim=1000", "the variational bound as well"),
    (
        "evaluate 'compare=[A/results.json,B/results.json]' 'waive=[track]'",
        "numbers side by side, if comparable",
    ),
]

GROUPS = frozenset({"metric", "extractor", "data", "sampler", "sampler/grid", "guidance", "quantization", "logger"})
VALUES = [
    f"checkpoint    a run, .ckpt, .safetensors or openai:<path>; several as [A,B,C]. All values of {program('sample')} say how it draws",
    f"stages        in its place a cascade, as {program('sample')} draws it: stages=[BASE,UPSAMPLER] stage.1.steps=25",
    "samples       in its place images: an npz (arr_0), a folder, a zip, tar shards, a data set; value_range=[-1,1] for an npz of floats",
    "reference     images or an npz of statistics (mu, sigma) to compare with; data=NAME: a data set; else the run's own data",
    "num_samples   how many are drawn; replicates: of the bootstrap behind the intervals, 0 for none",
    "bits_per_dim  of how many images of the reference; 0 for none",
    "sweep.<axis>  lists of track, sampler, steps, eta, scale; select: the metric that chooses",
    "check         torch_fidelity: its own FID, IS, KID, precision and recall of the same images beside these",
    "compare       results.json files; waive: fields of the protocol that may differ; info: which way a foreign metric is better",
    "logger        wandb or none: results in W&B; those of a run that was mirrored go there anyhow",
    "out           folder of results.json; features: of the embedded images (several nodes need a common one)",
]


def main() -> None:
    """The command line of evaluate.py."""
    if wants_help(arguments()):
        purpose = "measures images: FID and its relatives with intervals and protocols"
        print(help_text("evaluate", purpose, EXAMPLES, VALUES, GROUPS.__contains__))
    else:
        run_hydra("evaluate", evaluate, checked)


def evaluate(config: DictConfig) -> None:
    """Measures what the configuration names. Started again it goes on: drawn and embedded images are used again."""
    from difflab.cli.endings import ends_in_a_line

    with ends_in_a_line():
        _evaluate(config)


def checked(config: DictConfig) -> None:
    """Raises a ConfigError for what can be known to be wrong before anything is read."""
    from difflab.config.keys import check_nothing_missing
    from difflab.config.options import read_options
    from difflab.config.unchosen import drop_unchosen
    from difflab.config.values import check_values
    from difflab.evaluation.build import MeasuringValues
    from difflab.evaluation.wandb import check_mirror
    from difflab.sampling import SamplingOptions

    drop_unchosen(config)
    check_nothing_missing(config)
    read_options(SamplingOptions, config)
    check_values(config, MeasuringValues)
    check_mirror(config)


def _evaluate(config: DictConfig) -> None:
    from hashlib import sha256
    from pathlib import Path

    from difflab.config.build import plain
    from difflab.config.options import read_options
    from difflab.config.trust import trust
    from difflab.distributed.meeting import meeting
    from difflab.evaluation.build import evaluator_of
    from difflab.evaluation.measuring import measure_subject, tell
    from difflab.evaluation.sources import subjects_of
    from difflab.evaluation.sweep import sweep
    from difflab.evaluation.tables import comparison_table, seeds_table
    from difflab.evaluation.wandb import mirror_evaluation
    from difflab.runs.agreement import own_code
    from difflab.sampling import SamplingOptions
    from difflab.sampling.build import processes_of
    from difflab.studies.compare.run_groups import GivenRun, check_replicates

    checked(config)
    if config.compare:
        print(printable(comparison_table(list(config.compare), list(config.waive), plain(config.info) or {})))
        return
    trust(config.trust)
    axes = {str(axis): plain(values) for axis, values in config.sweep.items() if plain(values) != []}
    processes = processes_of(read_options(SamplingOptions, config))
    try:
        if axes:
            sweep(config, axes, processes)
            return
        subjects = subjects_of(config)
        if len(subjects) > 1:
            names = [str(name) for name in config.checkpoint]
            pairs = zip(names, subjects, strict=True)
            check_replicates([GivenRun(Path(name), name, one.about["seed"], plain(one.model)) for name, one in pairs])  # type: ignore[union-attr]
        evaluators = [evaluator_of(config, subject) for subject in subjects]
        told = [(subject.fields, subject.about) for subject in subjects]
        meeting().roll_call(
            {"subject or settings": sha256(repr(told).encode()).hexdigest()[:10], "difflab": own_code()}
        )
        meeting().adjourn()
        pairs = zip(subjects, evaluators, strict=True)
        measured = [measure_subject(config, subject, evaluator, processes) for subject, evaluator in pairs]
        if processes.rank == 0:
            for one in measured:
                tell(one)
                mirror_evaluation(config, one)
            if len(measured) > 1:
                print(seeds_table([one.results for one in measured], list(config.waive)))
    finally:
        processes.finish()
