"""Many images from one model: planned, drawn on any number of processes, kept shard by shard, written in the formats that others read."""

from difflab.sampling.classes import Classes, InTurn, Listed, NoClasses, classes_of
from difflab.sampling.drawing import draw_missing
from difflab.sampling.errors import SamplingError, SamplingStopped
from difflab.sampling.given_images import EnlargementOf, GivenImages
from difflab.sampling.plan import PLAN_FILE, SetFolder, check_written, read_set
from difflab.sampling.shards import ShardFolder, Shards
from difflab.sampling.shuffled import Shuffled
from difflab.sampling.stage import EnlargementOfStage, images_of_stages

__all__ = [
    "PLAN_FILE",
    "Classes",
    "EnlargementOf",
    "EnlargementOfStage",
    "GivenImages",
    "InTurn",
    "Listed",
    "NoClasses",
    "SamplingError",
    "SamplingStopped",
    "SetFolder",
    "ShardFolder",
    "Shards",
    "Shuffled",
    "check_written",
    "classes_of",
    "draw_missing",
    "images_of_stages",
    "read_set",
]
