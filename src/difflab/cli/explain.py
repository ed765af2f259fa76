"""Explaining: what noise, weights and times configurations have, side by side, and what is inside a trained model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from difflab.cli.entry import arguments, help_text, run_hydra, wants_help

if TYPE_CHECKING:
    from collections.abc import Sequence

    from difflab.config.run import DictConfig
    from difflab.sampling import SamplingOptions

EXAMPLES = [
    ("explain 'schedule=[linear,cosine,edm]' sampler.grid.steps=25", "three schedules side by side"),
    ("explain experiment=cosine_adagn,linear_adagn out=explain", "two experiments: what they do to images, and weigh"),
    (
        "explain objective=simple variance=fixed_small 'objective/weighting=[unweighted,min_snr,edm]'",
        "weights of a loss",
    ),
    ("explain experiment=swiss_roll", "points of the plane: the cloud as noise takes it"),
    ("explain checkpoint=RUN", "what is inside a trained model"),
]

GROUPS = frozenset({"schedule", "parameterization", "objective", "objective/time_sampler", "objective/weighting"})
OF_SAMPLING = frozenset({"sampler", "sampler/grid", "data", "space"})
VALUES = [
    "out           folder of explain.html and the pictures",
    "checkpoint    a run, in place of configurations: what is inside its model",
]


def main() -> None:
    """The command line of `difflab explain`."""
    words = arguments()
    if wants_help(words):
        purpose = "shows noise, weights and times of configurations side by side; with checkpoint=RUN what is inside its model"
        print(help_text("explain", purpose, EXAMPLES, VALUES, (GROUPS | OF_SAMPLING).__contains__))
    elif any(word.partition("=")[0] in ("checkpoint", "ckpt", "ckpt_path") for word in words):
        run_hydra("explain_model", explain_model, checked_model)
    else:
        explain(words)


def explain(words: Sequence[str]) -> None:
    """Writes the page and the pictures of the configurations that the words describe; nothing is trained."""
    from difflab.cli.endings import ends_in_a_line
    from difflab.runtime.process import gc_paused

    with gc_paused(), ends_in_a_line():
        from difflab.config.side_by_side import side_by_side
        from difflab.explaining import explain_configurations

        for path in explain_configurations(*side_by_side("explain", words), command=sys.argv[1:]):
            print(path)


def checked_model(config: DictConfig) -> Sequence[SamplingOptions]:
    """The options of the model, or of each stage of a cascade.

    Raises:
        ConfigError: What can be known to be wrong before anything is read.
    """
    from difflab.config.keys import check_nothing_missing
    from difflab.config.options import options_of_stages
    from difflab.config.values import Folder, check_value
    from difflab.sampling import SamplingOptions

    stages = options_of_stages(config, "explain_model", SamplingOptions)
    check_nothing_missing(config)
    check_value("out", config.out, Folder)
    return stages


def explain_model(config: DictConfig) -> None:
    """Writes what is inside a model to `out`."""
    from pathlib import Path

    from difflab.cli.endings import ends_in_a_line
    from difflab.config.trust import trust
    from difflab.explaining.model import explain_model

    with ends_in_a_line(str(config.out)):
        (options,) = checked_model(config)[-1:]
        trust(config.trust)
        for path in explain_model(options, Path(str(config.out))):
            print(path)
