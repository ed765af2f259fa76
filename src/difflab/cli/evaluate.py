"""Evaluation: images -> numbers with intervals and protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difflab.cli.entry import arguments, help_text, run_hydra, wants_help
from difflab.reading import printable
from difflab.runtime.invocation import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from difflab.config.run import DictConfig
    from difflab.evaluation.options import EvaluationOptions
    from difflab.sampling import SamplingOptions

EXAMPLES = [
    ("evaluate checkpoint=runs/cosine_adagn", "10,000 images of a run against its training data"),
    (
        "evaluate checkpoint=RUN num_samples=50000 accelerator=gpu devices=8 'metric=[frechet,spatial_frechet,kernel]'",
        "published size, eight GPUs, other metrics; what is drawn and embedded already is used again",
    ),
    ("evaluate 'checkpoint=[RUN_A,RUN_B,RUN_C]'", "seeds of one experiment: sampling and training noise apart"),
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
    ("evaluate checkpoint=RUN bits_per_dim=1000", "the variational bound as well, and where its bits are"),
    ("evaluate 'compare=[A/results.json,B/results.json]' 'waive=[track]'", "numbers side by side, if comparable"),
]

OF_SAMPLING = {"sampler", "sampler/grid", "guidance", "conditions", "quantization"}
GROUPS = frozenset({"metric", "likelihood", "likelihood/probe", "extractor", "data", "logger", *OF_SAMPLING})
VALUES = [
    f"checkpoint    a run, .ckpt, .safetensors or openai:<path>; several as [A,B,C]. All values of {program('sample')} say how it draws",
    f"stages        in its place a cascade, as {program('sample')} draws it: stages=[BASE,UPSAMPLER] stage.1.steps=25",
    "samples       in its place images: an npz (arr_0), a folder, a zip, tar shards, a data set; value_range=[-1,1] for an npz of floats",
    "reference     images or an npz of statistics (mu, sigma) to compare with; data=NAME: a data set; else the run's own data",
    "num_samples   how many are drawn; replicates: of the bootstrap behind the intervals, 0 for none",
    "bits_per_dim  of how many images of the reference; 0 for none. bits.png shows its terms, with compare= out= those of files",
    "sweep.<key>   lists of values: of track, sampler, steps, eta, scale, or any key of the sampling, as sampler.s_churn or s_churn alone;",
    "select        the metric that chooses; check=torch_fidelity: its own FID, IS, KID, precision, recall of the same images beside",
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
        options, stages = checked(config)
        if options.compare:
            _compare(options)
        else:
            _measure(options, stages, config.trust)


def checked(config: DictConfig) -> tuple[EvaluationOptions, list[SamplingOptions]]:
    """What is measured, and how the model draws, or each stage of a cascade.

    Raises:
        ConfigError: What can be known to be wrong before anything is read.
    """
    from difflab.config.keys import check_nothing_missing
    from difflab.config.options import options_of_stages
    from difflab.config.unchosen import drop_unchosen
    from difflab.evaluation.options import evaluation_options
    from difflab.evaluation.wandb import check_mirror
    from difflab.sampling import SamplingOptions

    drop_unchosen(config)
    check_nothing_missing(config)
    stages, options = options_of_stages(config, "evaluate", SamplingOptions), evaluation_options(config)
    check_mirror(options.logger)
    return options, stages


def _compare(options: EvaluationOptions) -> None:
    from difflab.evaluation.bits_picture import compared_bits
    from difflab.evaluation.tables import comparison_table

    files, waived = list(map(str, options.compare)), list(map(str, options.waive))
    print(printable(comparison_table(files, waived, options.info or {})), *compared_bits(options, files), sep="\n")


def _measure(options: EvaluationOptions, stages: Sequence[SamplingOptions], trusted: str | Sequence[str]) -> None:
    from hashlib import sha256
    from pathlib import Path

    from difflab.config.trust import trust
    from difflab.distributed.meeting import meeting
    from difflab.evaluation.bits_picture import announce_bits, show_bits
    from difflab.evaluation.run import build_evaluator, measure, show
    from difflab.evaluation.sources import evaluated_images
    from difflab.evaluation.tables import seeds_table
    from difflab.evaluation.wandb import mirror_evaluation
    from difflab.runs.saved_checkpoints import own_code
    from difflab.sampling.build import processes_of
    from difflab.studies.compare.run_groups import GivenRun, check_replicates

    trust(trusted)
    processes = processes_of(stages[-1])
    announce_bits(options, processes.rank)
    try:
        if options.axes:
            from difflab.evaluation.sweep import sweep

            sweep(options, stages, processes)
            return
        images = evaluated_images(options, stages)
        if len(images) > 1:
            checkpoints = list(map(str, stages[0].checkpoint))  # type: ignore[arg-type]  # a list, where there are several
            pairs = zip(checkpoints, images, strict=True)
            check_replicates([GivenRun(Path(name), name, one.about["seed"], one.model or {}) for name, one in pairs])
        evaluators = [build_evaluator(options, one) for one in images]
        what = [(one.fields, one.about) for one in images]
        meeting().roll_call({"images or settings": sha256(repr(what).encode()).hexdigest()[:10], "difflab": own_code()})
        meeting().adjourn()
        measured = [measure(options, *one, processes) for one in zip(images, evaluators, strict=True)]
        if processes.rank == 0:
            for one in measured:
                show(one)
                mirror_evaluation(options.logger, one)
            show_bits(options, measured)
            if len(measured) > 1:
                print(seeds_table([one.results for one in measured], list(map(str, options.waive))))
    finally:
        processes.finish()
