"""How a model draws, by the options of sample.py and evaluate.py: the fields of `SamplingOptions` are the list of these keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from difflab.config.options import Key, keys_of
from difflab.config.values import FileOrFolder, Finite, Matching, Natural, NonNegative, Positive, Several, Word

Node = Mapping[str, Any]
"""A part, or several by name, as a configuration describes them: plain, with `_target_`."""

Steps = Annotated[
    Word, Matching("a number of steps, like 250, ddim25 or '10,20,30'", r"(ddim)?0*[1-9]\d*|0*[1-9]\d*(,0*[1-9]\d*)+")
]
Track = Annotated[Word, Matching("the name of one EMA, or online")]

_GUIDANCE = ("guidance", "guidance_order")
_STAGES = ("stages", "sampler", *_GUIDANCE, "track", "classes", "conditions", "precision", "quantization")
"""What a cascade has for each stage, and a model by itself once."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """What is said of the drawing of images, by plain values and nodes of parts.

    Attributes:
        num_samples: How many images.
        batch_size: How many at a time.
        first_seed: Image i is drawn from the seed first_seed + i.
        checkpoint: A run, one of its files, or openai:<path> of a released model.
        stages: In its place the models of a cascade, each of which upsamples what the one before it has drawn.
        stage: Words that hold for one of them, as 1.steps=25.
        flags: Of a released model, where its file's name does not tell them.
        track: Which weights of a run: the name of an EMA, or online; None for the run's first EMA.
        ema: Node of an average that is reconstructed from a run's snapshots, with its std.
        sampler: Node; None for the run's.
        guidance: Name -> node; None for the run's.
        steps: Of the sampler's grid; None for as many as the sampler says.
        eta: Of DDIM.
        scale: w of the guidance that has one; classifier-free where there is none.
        low_res: File or folder of the images that are upsampled; None for the run's own.
        level: Noise on them (conditioning augmentation).
        conditions: Name -> node of for whom images are drawn; None for the run's.
        classes: One, several in turn, or a file of one per image; None for all in turn.
        precision: Lightning's name of the type in which the network computes.
        quantization: Node of the function from [-1, 1] to uint8.
        compute: Node of how the network is computed.
        format: Name -> node of the forms in which the images are written.
        logger: Name -> node of where the grid goes besides; None for where the run was mirrored.
        overwrite: Whether images that were drawn in another way are replaced.
        keep_shards: Whether the shards stay beside the formats.
        grid: Images in the picture.
        trajectory: Moments of the walk from noise to the first images that are shown beside them; 0 for none.
        animate: Node of the film that is made of the model; None for none.
        frames: Of the film.
        accelerator: cpu, gpu or auto.
        devices: Processes on each node; None for as many as were started.
        num_nodes: Nodes; None for as many as were started.
        threads: CPU threads of each process.
    """

    num_samples: Annotated[Positive, Key(of_model=True)]
    batch_size: Annotated[Positive, Key(staged=True)]
    first_seed: Annotated[Natural, Key(of_model=True)]
    checkpoint: Word | Sequence[Word] | None = None
    stages: Annotated[Sequence[Word], Key(of_model=True, protocol=_STAGES)] = ()
    stage: Annotated[Sequence[str], Key(of_model=True, protocol=("stages",), refers=True)] = ()
    flags: Annotated[Annotated[Word, Matching("a text")] | None, Key(staged=True)] = None
    track: Annotated[Track | None, Key(of_model=True, staged=True, protocol=("track",), label="track {}")] = None
    ema: Annotated[Node | None, Key(of_model=True, staged=True, protocol=("track",), inside={"std": NonNegative})] = (
        None
    )
    sampler: Annotated[
        Node | None,
        Key(
            of_model=True,
            staged=True,
            protocol=("sampler",),
            label="{}",
            inside={"eta": NonNegative, "grid.steps": Steps},
            refers=True,
        ),
    ] = None
    guidance: Annotated[
        Node | None,
        Key(
            of_model=True,
            staged=True,
            protocol=(*_GUIDANCE, "classes"),  # a classifier brings its classes along
            inside={"classifier_free.scale": Finite | Mapping[str, Finite]},
            refers=True,
            named=True,
        ),
    ] = None
    steps: Annotated[
        Steps | None, Key(of_model=True, staged=True, protocol=("sampler.grid.steps",), label="{} steps")
    ] = None
    eta: Annotated[
        NonNegative | None, Key(of_model=True, staged=True, protocol=("sampler.eta",), label="eta = {:g}")
    ] = None
    scale: Annotated[Finite | None, Key(of_model=True, staged=True, protocol=_GUIDANCE, label="w = {:g}")] = None
    low_res: Annotated[FileOrFolder | None, Key(of_model=True, protocol=("low_resolution",))] = None
    level: Annotated[
        NonNegative | None, Key(of_model=True, staged=True, protocol=("low_resolution",), label="level = {:g}")
    ] = None
    conditions: Annotated[
        Node | None,
        Key(
            of_model=True,
            protocol=("conditions", "classes", "low_resolution"),
            refers=True,
            named=True,
            trained=("conditions",),
        ),
    ] = None
    classes: Annotated[Any, Key(of_model=True, protocol=("classes",), trained=("data.num_classes",))] = None
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"],
        Key(of_model=True, staged=True, protocol=("precision",), label="{}"),
    ] = "32-true"
    quantization: Annotated[Node, Key(of_model=True, staged=True, protocol=("quantization",))]
    compute: Node
    format: Annotated[Node | None, Key(inside={"webdataset.images_per_tar": Positive})] = None
    logger: Node | None = None
    overwrite: bool = False
    keep_shards: bool = False
    grid: Positive = 64
    trajectory: Natural = 0
    animate: Annotated[Node | None, Key(inside={"images": Positive})] = None
    frames: Several = 24
    accelerator: str = "auto"
    devices: Positive | None = None
    num_nodes: Positive | None = None
    threads: Positive = 1


PROTOCOL_FIELDS = tuple(
    dict.fromkeys(field.split(".")[0] for key in keys_of(SamplingOptions).values() for field in key.protocol)
)
"""Fields of a number's protocol, and those below them, that say how its images were drawn."""
