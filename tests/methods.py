"""A run of seconds for every kind of network, of schedule that learns and of objective that holds something."""

from pathlib import Path

from difflab.cli.train import train
from difflab.runs import RunDirectory
from running import composed

TINY_UNET = ("network.width=16",)
TEACHER = ("+experiment=flow/digits", *TINY_UNET, "sampler.grid.steps=2")
METHODS = {
    "dit": ("+experiment=dit/digits", "network.width=32", "network.depth=2", "network.heads=2"),
    "dit_in_context": (
        "+experiment=dit/digits",
        "network/block=in_context",
        "network.width=32",
        "network.depth=2",
        "network.heads=2",
        "network.gradient_checkpointing=true",
    ),
    "song": ("+experiment=score_sde/digits/ve", "network.width=16", "network.dropout=0.1", "sampler.grid.steps=2"),
    "ncsn": (
        "+experiment=ncsn/digits",
        "network=ncsn",
        "network.width=16",
        "network.channel_mult=[1,2]",
        "network.dilated=1",
        "network.depth=1",
        "network.levels=22",
        "parameterization=score",
        "objective/weighting=unweighted",
        "sampler.repeats=1",
    ),
    "ncsnv2": (
        "+experiment=ncsn/digits",
        "network=ncsnv2",
        "network.width=16",
        "network.channel_mult=[1,2]",
        "network.dilated=1",
        "network.depth=1",
        "parameterization=epsilon",
        "objective/weighting=unweighted",
        "sampler.repeats=1",
    ),
    "learned_betas": (
        "+experiment=cosine_adagn",
        *TINY_UNET,
        "schedule=learned_betas",
        "schedule.start.steps=25",
        "variance=fixed_small",
        "objective=vlb",
        "objective/time_sampler=loss_second_moment",
        "objective.time_sampler.steps=25",
        "objective.time_sampler.history=2",
        "sampler.grid.steps=2",
    ),
    "monotone_log_snr": (
        "+experiment=cosine_adagn",
        *TINY_UNET,
        "schedule=monotone_log_snr",
        "schedule.steps=20",
        "schedule.width=4",
        "variance=fixed_small",
        "objective=vlb",
        "sampler.grid.steps=2",
    ),
    "coupled": ("+experiment=flow/digits", *TINY_UNET, "objective=coupled", "sampler.grid.steps=2"),
    "coupled_entropic": (
        "+experiment=flow/digits",
        *TINY_UNET,
        "objective=coupled",
        "objective/coupling=entropic_transport",
        "sampler.grid.steps=2",
    ),
    "reflow": (*TEACHER, "objective=reflow", "objective.sampler.grid.steps=2"),
    "likelihood_weighted": (
        "+experiment=score_sde/digits/ve",
        "network.width=16",
        "objective=likelihood_weighted",
        "sampler.grid.steps=2",
    ),
    "binomial_bound": (
        "+experiment=digits_binary",
        "network.width=16",
        "schedule.steps=4",
        "sampler.grid.steps=4",
    ),
}
"""Name -> what makes a run of it that takes seconds."""

SHORT = (
    "data.batch_size=8",
    "trainer.accelerator=cpu",
    "trainer.max_steps=4",
    "trainer.log_every_n_steps=1",
    "eval.every=4",
    "eval.num_samples=4",
    "eval.batch_size=4",
    "eval.grid=4",
    "checkpoint.every=2",
    "logger=none",
)


def trained(root: Path, *overrides: str) -> RunDirectory:
    """`python train.py` with these words, in a few steps."""
    train(composed("train", *overrides, *SHORT, "run.name=run", f"run.root={root}"))
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)
