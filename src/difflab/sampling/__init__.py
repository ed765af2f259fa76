"""From a trained model to a set of images: jobs, sample sets, conditions, cascades, formats."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.sampling.classes import Classes, InTurn, Listed, NoClasses, classes_of
    from difflab.sampling.conditions import GivenImages, UpsampledImages, UpsampledStage, images_of_stages
    from difflab.sampling.draw import draw_missing
    from difflab.sampling.options import SamplingOptions
    from difflab.sampling.sample_set import (
        PLAN_FILE,
        SampleSet,
        SamplingError,
        SamplingStopped,
        check_written,
        read_set,
    )
    from difflab.sampling.shards import ShardFolder, Shards

__all__ = [
    "PLAN_FILE",
    "Classes",
    "GivenImages",
    "InTurn",
    "Listed",
    "NoClasses",
    "SampleSet",
    "SamplingError",
    "SamplingOptions",
    "SamplingStopped",
    "ShardFolder",
    "Shards",
    "UpsampledImages",
    "UpsampledStage",
    "check_written",
    "classes_of",
    "draw_missing",
    "images_of_stages",
    "read_set",
]

on_demand(__name__)
