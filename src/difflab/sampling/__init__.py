"""From a trained model to a set of images: jobs, sample sets, conditions, cascades, formats."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.sampling.conditions import (
        Conditions,
        Drawing,
        GivenImages,
        InTurn,
        Listed,
        LowRes,
        OfData,
        OfStage,
        Several,
        images_of_stages,
    )
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
    "Conditions",
    "Drawing",
    "GivenImages",
    "InTurn",
    "Listed",
    "LowRes",
    "OfData",
    "OfStage",
    "SampleSet",
    "SamplingError",
    "SamplingOptions",
    "SamplingStopped",
    "Several",
    "ShardFolder",
    "Shards",
    "check_written",
    "draw_missing",
    "images_of_stages",
    "read_set",
]

on_demand(__name__)
