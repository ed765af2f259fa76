"""`difflab train`: trains a model, and resumes where an earlier start of the same command stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difflab.cli.endings import ended_together, fail
from difflab.cli.entry import arguments, help_text, run_hydra, wants_help

if TYPE_CHECKING:
    from difflab.config.run import DictConfig

EXAMPLES = [
    ("train +experiment=cosine_adagn", "the headline run on the embedded digits, minutes on a laptop"),
    ("train +experiment=list", "all experiments with a line on each"),
    (
        "train +experiment=cosine_adagn schedule=linear seed=1",
        "a variant of it: another schedule, another seed",
    ),
    (
        "train -m +experiment=cosine_adagn,linear_adagn seed=0,1,2",
        "several variants and seeds after each other",
    ),
    (
        "train +experiment=iddpm/cifar10/cosine_hybrid_T4000 trainer.accelerator=gpu trainer.precision=bf16-mixed",
        "a published model on a GPU",
    ),
]

VALUES = [
    "seed  condition_dropout  trainer.max_steps  trainer.precision  trainer.devices  data.batch_size (the global batch)",
    "init_from=RUN|RUN@STEP|FILE|openai:FILE (weights to start from)  init_from.ema  init_from.keys  init_from.skip  init_from.state",
    "trainable=[PATTERN] (weights that learn)  lr_scale={PATTERN: FACTOR}  adapter=lora",
    "eval.every  eval.num_samples  eval.tracks  checkpoint.every  run.root  run.name  run.restart",
    "and every key of a chosen part, as network.width=64. `--cfg job` prints them all; `--hydra-help` is Hydra's own help.",
]


def main() -> None:
    """The command line of train.py."""
    from difflab.config.paths import listed_group, listing

    words = arguments()
    if not words or wants_help(words):
        print(
            help_text("train", "trains a diffusion model and scores its samples", EXAMPLES, VALUES, lambda group: True)
        )
    elif group := listed_group(words):
        print(listing(group))
    else:
        run_hydra("train", train, check_training)


def train(config: DictConfig) -> float | None:
    """Trains the model that a configuration describes, where its launcher says.

    Args:
        config: Of train.yaml, composed.

    Returns:
        The finished run's score; None where it is not known here.
    """
    from difflab.cluster.attempts import ends_recorded
    from difflab.cluster.launcher import SubmissionError
    from difflab.config import derived as resolvers
    from difflab.config.build import one_line
    from difflab.config.keys import ConfigError
    from difflab.config.training import checked_training
    from difflab.data import DataError
    from difflab.files import WriteError
    from difflab.runs import RunBusyError
    from difflab.runs.saved_checkpoints import OlderStateError
    from difflab.runtime.console import quiet_lightning
    from difflab.runtime.signals import signals, starting
    from difflab.training.run.loop import TrainingRun

    resolvers.add_resolvers()  # a sweep's launcher may call this in a process of its own
    with ends_recorded(), signals.held(), ended_together():
        try:
            signals.enter(starting())
            quiet_lightning()
            with one_line():
                options = checked_training(config)
                return options.launcher.launch(lambda: TrainingRun(options).run(), options.words, options.name)
        except (RunBusyError, OlderStateError) as error:
            fail(str(error), error.exit_code)
        except (ConfigError, DataError, SubmissionError, WriteError) as error:
            fail(" ".join(str(error).split()))


def check_training(config: DictConfig) -> None:
    """Raises a ConfigError for a configuration that cannot be run."""
    from difflab.config.training import checked_training

    checked_training(config)
