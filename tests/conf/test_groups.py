"""Groups of conf/ and packages of difflab, one to one; and every file of a group is the list of a constructor's arguments."""

import inspect
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, get_type_hints

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

import difflab
from difflab import (
    adapters,
    conditioning,
    data,
    ema,
    features,
    guidance,
    likelihoods,
    metrics,
    networks,
    noise_conditioning,
    objectives,
    parameterizations,
    samplers,
    schedules,
    spaces,
    variances,
)
from difflab.conditioning import augmentations, shrinks
from difflab.guidance import scores, shapes
from difflab.likelihoods import probability_flow
from difflab.networks import layers
from difflab.objectives import couplings, time_samplers, weightings
from difflab.samplers import along, correctors, diffusions, grids, last_steps, predictors, priors
from difflab.sampling import animations, conditions, formats
from one_pass import each

CONF = Path(__file__).parents[2] / "conf"

MIRRORED: dict[str, tuple[Any, Any]] = {
    "schedule": (schedules, schedules.NoiseSchedule),
    "parameterization": (parameterizations, parameterizations.Parameterization),
    "variance": (variances, variances.Variance),
    "noise_conditioning": (noise_conditioning, noise_conditioning.NoiseConditioning),
    "objective": (objectives, objectives.Objective),
    "objective/time_sampler": (time_samplers, time_samplers.TimeSampler),
    "objective/coupling": (couplings, couplings.Coupling),
    "objective/weighting": (weightings, weightings.Weighting),
    "ema": (ema, ema.Averaging),
    "guidance": (guidance, guidance.Guidance),
    "guidance/shape": (shapes, shapes.Shape),
    "guidance/score": (scores, scores.Score),
    "likelihood": (likelihoods, likelihoods.Likelihood),
    "likelihood/probe": (probability_flow, probability_flow.Probe),
    "space": (spaces, spaces.Space),
    "sampler": (samplers, samplers.Sampler),
    "sampler/grid": (grids, grids.Grid),
    "sampler/along": (along, along.Along),
    "sampler/prior": (priors, priors.Prior),
    "sampler/diffusion": (diffusions, diffusions.Diffusion),
    "sampler/last_step": (last_steps, last_steps.LastStep),
    "sampler/predictor": (predictors, samplers.Sampler),
    "sampler/corrector": (correctors, correctors.Corrector),
    "network": (networks, networks.Network),
    "compute": (networks, networks.Compute),
    "network/enlarge": (layers, layers.Enlargement),
    "network/resample": (layers, layers.Resample),
    "conditioning": (conditioning, conditioning.Conditioning),
    "conditioning/shrink": (shrinks, shrinks.Shrink),
    "conditioning/augmentation": (augmentations, augmentations.Augmentation),
    "network/attention": (layers, layers.SelfAttention),
    "network/cross_attention": (layers, layers.CrossAttention),
    "network/pooling": (layers, layers.Pooling),
    "network/block": (layers, layers.BlockDesign),
    "network/noise_features": (layers, layers.NoiseFeatures),
    "network/progressive_input": (layers, layers.ProgressiveInput),
    "network/progressive_output": (layers, layers.ProgressiveOutput),
    "extractor": (features, features.FeatureExtractor),
    "metric": (metrics, (metrics.FeatureMetric, metrics.PairMetric)),
    "data": (data, data.ImageDataset),
    "format": (formats, formats.Format),
    "adapter": (adapters, adapters.Adapter),
    "conditions": (conditions, conditions.Conditions),
    "animate": (animations, animations.Animation),
}
"""Group -> the package that it mirrors, and what its choices are."""

BY_ARGUMENTS = {
    "network/norm": (layers, [["channels", "emb_dim"]]),
    "embedder": (layers, [["num_classes", "dim", "std"], ["scale", "dim"]]),
}
"""Group -> package, and the constructor's arguments by which its choices are known: they share a form and no base class."""

ELSEWHERE = {
    "optimizer": "torch's",
    "lr_schedule": "torch's",
    "trainer": "Lightning's",
    "logger": "a mirror of the run directory, made by difflab.runs",
    "callbacks": "Lightning's, beside those of a run",
    "checkpoint_io": "how checkpoints reach the disk: difflab.runs and Lightning's",
    "strategy": "how processes share the work: difflab.training.sharding",
    "launcher": "where a command runs: difflab.cluster",
    "hydra": "Hydra's own",
    "hydra/launcher": "how Hydra runs the jobs of a sweep",
    "divergence": "what the watcher of difflab.training.callbacks does about a loss that is not finite",
    "quantization": "functions of difflab.features",
    "module": "wires the choices into the sockets",
    "evaluation": "how train.py evaluates a run: difflab.evaluation",
    "init_from": "weights from which train.py starts: difflab.checkpoints",
    "held_out": "data sets of difflab.data that are kept from training",
    "experiment": "rows of tables",
    "debug": "makes any row a trial of itself",
    "hparams_search": "what Optuna looks for",
    "recipe": "what the rows of a table have in common",
    "shrink": "makes any row small",
}
"""Groups that mirror no package, and why."""

WITHOUT_FILE = {
    data.ArrayImages: "takes tensors: for a notebook",
    data.ArrayPoints: "takes tensors: for a notebook",
    spaces.Pixels: "the default, which says nothing, so that runs of before there was a choice are found",
    scores.Similarity: "takes a network and an embedding: for a notebook",
    data.EveryNth: "kept from training: conf/held_out",
    conditions.OfStage: "what the stage before has drawn: sample.py makes it",
    conditions.Several: "what was chosen, put together",
}
"""Choices that no file names, and why."""

_SONG = ["network=song", "network.attention_resolutions=[]"]
VALUES = {
    "schedule/tabulated": ["schedule.betas=[0.1,0.2,0.5]"],
    "network/unet": ["data.image_size=32"],
    # a model that is not there: torch.nn.Identity takes any arguments
    "guidance/autoguidance": [
        "guidance.autoguidance.weak._target_=torch.nn.Identity",
        "guidance.autoguidance.weak.checkpoint=run",
    ],
    "guidance/classifier": [
        "guidance.classifier.classify._target_=torch.nn.Identity",
        "guidance.classifier.classify.checkpoint=run",
    ],
    **{
        f"guidance/{name}": [
            f"guidance.{name}.classify._target_=torch.nn.Identity",
            f"guidance.{name}.classify.checkpoint=run",
        ]
        for name in ("mean_shift_at_image", "mean_shift_at_mean")
    },
    **{f"objective/coupling/{kind}": ["objective=coupled"] for kind in ("exact_transport", "entropic_transport")},
    "parameterization/flow_velocity": ["schedule=linear_path"],
    **{
        f"sampler/{part}": ["sampler=stochastic_euler"]
        for part in (
            *(
                f"diffusion/{kind}"
                for kind in ("constant", "falling", "linear_in_time", "noise_scale", "sbdm", "squared_sine")
            ),
            *(f"last_step/{kind}" for kind in ("flow", "mean", "tweedie")),
        )
    },
    **{
        f"network/block/{design}": ["network=dit"]
        for design in ("adaln_zero", "adaln", "cross_attention", "in_context")
    },
    "network/encoder": ["data.image_size=64", "data.channels=3"],
    **{f"network/pooling/{kind}": ["network=encoder"] for kind in ("attention", "adaptive", "spatial", "spatial_v2")},
    "module/binary": ["+experiment=heartbeat"],
    "module/classifier": ["+experiment=digits_classifier"],
    "init_from/weights": ["init_from.checkpoint=run"],
    "held_out/mixture": ["data=mixture"],
    "evaluation/held_out_accuracy": ["held_out=digits"],
    "sampler/along/time": ["sampler=euler"],
    "sampler/grid/levels": ["sampler=ddim", "sampler.grid.levels=[10,1]"],
    "sampler/grid/times": ["sampler=ddim", "sampler.grid.times=[1,0.5]"],
    "sampler/prior/uniform": ["sampler=annealed_langevin"],
    "sampler/prior/normal": ["sampler=annealed_langevin"],
    "sampler/along/noise_level": ["sampler=heun"],
    **{
        f"sampler/{kind}/{path.stem}": ["sampler=predictor_corrector"]
        for kind in ("predictor", "corrector")
        for path in (CONF / "sampler" / kind).glob("*.yaml")
    },
    "network/sr3": ["data.image_size=32"],
    "network/song": ["data.image_size=32"],
    **{f"network/noise_features/{kind}": _SONG for kind in ("sinusoids", "fourier")},
    **{f"network/progressive_input/{kind}": _SONG for kind in ("first_level", "skip", "joined_skip", "residual")},
    **{f"network/progressive_output/{kind}": _SONG for kind in ("last_level", "skip", "residual")},
    "network/superres": ["data.image_size=32"],
    "network/self_conditioned": ["data.image_size=32"],
    "network/enlarge/bilinear": ["network=superres"],
    "network/enlarge/bicubic": ["network=superres"],
    "evaluation/enlargements": ["conditioning=[low_resolution]", "conditioning.low_resolution.size=4"],
    "conditioning/low_resolution": ["conditioning.low_resolution.size=4"],
    "conditions/listed": ["conditions.listed.labels=labels.npy"],
    "conditions/low_res": ["conditions.low_res.images=images.npz"],
    "module/diffusion": ["data.image_size=32", "network.width=32"],
}
"""What a file leaves open or needs beside it."""

SEVERAL = ("ema", "guidance", "embedder", "conditioning", "conditions")
"""Groups of which several are chosen."""

GROUPS = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir())
NO_CHOICE = {
    "module/plain": "for a model and an objective of one's own: tests/plugins",
    "module/generator": "for a model that draws in one pass: experiment/rivals",
    "space/pixels": "the default, which says nothing",
    "ema/posthoc": "an average for sample.py, made of the snapshots of a track",
}
"""Files that are not a choice of their group's package, and why."""

ROWS = ("experiment", "recipe", "shrink", "debug", "hparams_search", "hydra")
PART_FILES = [
    f"{group}/{path.stem}"
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    if group.split("/")[0] not in ROWS
]


def read(file: str) -> Any:
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{file}.yaml"), resolve=False)


def group_of(file: str) -> str:
    return file.rsplit("/", 1)[0]


def made_by(target: Any) -> Any:
    """What calling a target gives: a class itself, or the class that a function is annotated with."""
    return target if inspect.isclass(target) else get_type_hints(target).get("return")


def choices(group: str) -> set[Any]:
    """What of the package's public names is a choice of the group."""
    if group in BY_ARGUMENTS:
        package, arguments = BY_ARGUMENTS[group]
        found = {getattr(package, name) for name in package.__all__}
        return {
            c
            for c in found
            if inspect.isclass(c) and issubclass(c, nn.Module) and list(inspect.signature(c).parameters) in arguments
        }
    package, kind = MIRRORED[group]
    public = [getattr(package, name) for name in package.__all__]
    return {
        part
        for part in public
        if callable(part)
        and not inspect.isabstract(part)
        and inspect.isclass(made_by(part))
        and issubclass(made_by(part), kind)
        and part is not kind
        and part not in WITHOUT_FILE
    }


def is_choice(group: str, target: Any) -> bool:
    """Whether a target lies in the group's package and is what its choices are."""
    package, kind = (*BY_ARGUMENTS[group][:1], nn.Module) if group in BY_ARGUMENTS else MIRRORED[group]
    inside = package.__name__ if inspect.getfile(package).endswith("__init__.py") else package.__package__
    return target.__module__.startswith(f"{inside}.") and issubclass(made_by(target), kind)


def target_of(group: str, path: Path) -> Any:
    """What a group's file stands for."""
    node = read(path.relative_to(CONF).with_suffix("").as_posix())
    if group == "data":
        assert get_object(node["_target_"]) is data.ImageData
        node = node["dataset"]
    return get_object(node["_target_"])


def test_every_group_is_accounted_for():
    unknown = {group for group in GROUPS if group.split("/")[0] not in ROWS} - {*MIRRORED, *BY_ARGUMENTS, *ELSEWHERE}
    assert not unknown, "a new group: say here which package it mirrors"
    assert {*MIRRORED, *BY_ARGUMENTS} <= set(GROUPS)


def test_every_package_of_choices_has_a_group():
    root = Path(difflab.__file__).parent
    packages = {path.parent for path in root.rglob("__init__.py")} - {root}
    files = {Path(package.__file__) for package, _ in [*MIRRORED.values(), *BY_ARGUMENTS.values()]}
    mirrored = {path.parent for path in files if path.name == "__init__.py"}  # a family in one module is mirrored, too
    rooms = ("checkpoints", "cli", "cluster", "config", "distributed", "evaluation", "reading", "runs")
    machinery = {
        root / name
        for name in (*rooms, "editing", "explaining", "pages", "rivals", "runtime", "sampling", "studies", "training")
    }
    inside = {path for path in packages for above in machinery if above in path.parents} | {
        root / "data/packing",
        root / "data/scenes",
        root / "samplers/singlestep",
        root / "samplers/multistep",  # the rules of one sampler: parts of its files
    }
    assert packages - machinery - inside == mirrored


@each("group", [*MIRRORED, *BY_ARGUMENTS])
def test_a_group_has_one_file_for_each_choice_of_its_package(group):
    paths = [p for p in (CONF / group).glob("*.yaml") if p.stem != "none" and f"{group}/{p.stem}" not in NO_CHOICE]
    targets = [target_of(group, path) for path in paths]
    listed = choices(group)
    assert listed <= set(targets)
    assert all(map(partial(is_choice, group), set(targets) - listed)), (
        "a module of the package that its list need not name"
    )
    if group == "network/attention":  # each attention with each way to count heads
        files = [read(f"{group}/{path.stem}") for path in paths]
        combinations = {(node["_target_"], node["heads"]["_target_"]) for node in files}
        assert len(combinations) == len(targets) == len(set(targets)) * 2
    elif group not in ("data", "sampler"):  # a reader of files serves several data sets, a mechanism several rules
        assert len(targets) == len(set(targets))


@each("file", PART_FILES)
def test_a_file_is_the_list_of_a_constructors_arguments(file):
    node = read(file)
    if file == "logger/many":  # several of the others
        assert {f"logger/{name}" for name in node["defaults"]} <= set(PART_FILES)
        return
    if file.endswith("/none") or file == "space/pixels":
        assert node == {}
        return
    target = get_object(node["_target_"])
    given = {key for key in node if not key.startswith("_") and key != "defaults"}
    chosen = [next(iter(d)) for d in node.get("defaults", []) if d != "_self_"]
    given |= {group.rpartition("@")[2] for group in chosen if not group.startswith("override ")}
    given -= {"only_watches"} if group_of(file) == "callbacks" else set()
    accepted = inspect.signature(target).parameters
    assert given <= accepted.keys()
    if not target.__module__.startswith("difflab") or group_of(file) == "logger":
        return  # a foreign constructor has more arguments than one wants to see; a logger is told its run by the program
    if group_of(file) == "module":  # what has a default is set by the program
        assert {key for key in accepted if accepted[key].default is inspect.Parameter.empty} <= given
    elif node.get("_partial_"):
        later = accepted.keys() - given  # what the network fills in
        assert all(accepted[key].default is inspect.Parameter.empty for key in later)
    else:
        assert given == accepted.keys()


@each("file", PART_FILES)
def test_a_file_opens_with_a_line_about_itself(file):
    lines = (CONF / f"{file}.yaml").read_text(encoding="utf-8").splitlines()
    about = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert about.startswith("# ")
    assert len(about) > 5


ELSEWHERE_MADE = (
    "animate/",
    "likelihood/",
    "callbacks/",
    "conditioning/augmentation/",
    "conditioning/shrink/",
    "data/",
    "extractor/",
    "format/",
    "guidance/score/",
    "guidance/shape/",
    "held_out/",
    "logger/",
    "metric/",
    "objective/reflow",
    "quantization/",
    "space/",
)
"""Groups whose files need more than is at hand, or that are no part of train.py; they have tests of their own."""


MADE_HERE = [f for f in PART_FILES if not f.startswith(ELSEWHERE_MADE) and f not in NO_CHOICE]
INDEPENDENT = {
    "checkpoint_io",
    "compute",
    "divergence",
    "ema",
    "embedder",
    "guidance",
    "lr_schedule",
    "launcher",
    "objective/time_sampler",
    "objective/weighting",
    "optimizer",
    "parameterization",
    "sampler",
    "sampler/grid",
    "strategy",
    "variance",
}
"""Groups whose choices do not look at each other's: a composition, which takes most of the time, serves a choice of each."""
TOGETHER = [
    [file for file in files if file]
    for files in zip_longest(
        *([f for f in MADE_HERE if group_of(f) == group and f not in VALUES] for group in sorted(INDEPENDENT))
    )
]
ALONE = [file for file in MADE_HERE if file not in chain.from_iterable(TOGETHER)]


def choice(file: str) -> str:
    """The word that chooses a file."""
    group, name = file.rsplit("/", 1)
    return f"{group}={f'[{name}]' if group in SEVERAL else name}"


def assert_makes_what_it_names(file: str, config: DictConfig) -> None:
    group, name = file.rsplit("/", 1)
    node = OmegaConf.select(config, group.replace("/", "."))
    if name == "none":
        assert node == {}
        return
    if group in SEVERAL:
        (node,) = node.values()
    part = instantiate(node, _convert_="all")
    target = get_object(node._target_)
    if isinstance(part, partial):
        assert part.func is target
    else:
        assert isinstance(part, made_by(target))


@each("file", ALONE)
def test_a_file_makes_what_it_names(file, composed):
    assert_makes_what_it_names(file, composed(choice(file), *VALUES.get(file, [])))


def test_files_beside_each_other_make_what_they_name(composed, subtests):
    for files in TOGETHER:
        config = composed(*map(choice, files))
        for file in files:
            with subtests.test(file):
                assert_makes_what_it_names(file, config)
