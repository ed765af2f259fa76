"""What evaluate.py measures: images that a model draws, or images that lie in files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.checkpoints.trained_data import data_set, trained_data
from difflab.config.build import plain
from difflab.config.groups import ConfigError, command_words
from difflab.config.options import keys_of, with_values
from difflab.config.stages import options_of_stages
from difflab.data import ImageDataset, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.data.subset import spread
from difflab.distributed import Processes
from difflab.evaluation.published import STATED
from difflab.evaluation.results import Results
from difflab.metrics import Pairs, Protocol
from difflab.reading import read_text
from difflab.sampling import PLAN_FILE, SampleSet, SamplingOptions, check_written, read_set
from difflab.sampling.build import model_of, plan_job, plan_stages
from difflab.sampling.draw import draw_job
from difflab.sampling.job import SamplingJob

DRAWING_KEYS = frozenset(name for name, key in keys_of(SamplingOptions).items() if key.of_model)
"""What only a model can be told."""


class Subject(ABC):
    """Images of one origin, of which nothing need exist yet.

    name        what a table calls it
    fields      what of a number's protocol they are, nested
    about       which model or file it is: no part of the protocol
    shape       (C, H, W)
    count       N
    has_labels  whether each has a class
    model       the model's configuration, where there is one: what it was trained on, how it was judged, what was published
    folder      where the results go
    pairs       what each image was drawn for, of enlarged ones; None for others
    seen        the images, once `images` has given them
    """

    name: str
    fields: dict[str, Any]
    about: dict[str, Any]
    shape: tuple[int, int, int]
    count: int
    has_labels: bool
    model: Mapping[str, Any] | None
    folder: Path
    pairs: Pairs | None
    seen: LabelledSource | None = None

    @abstractmethod
    def images(self, processes: Processes) -> LabelledSource:
        """All processes must call it. SamplingStopped if drawing was told to stop."""

    @abstractmethod
    def end(self) -> None:
        """Gives back what `images` has taken."""

    @abstractmethod
    def trained_on(self) -> ImageDataset:
        """The data of the model. A ConfigError if they are not at hand, or are not those of the training any more."""

    @property
    def file(self) -> Path:
        """Where the results go."""
        return self.folder / "results.json"

    def earlier(self) -> Results:
        """What was measured there before. A ConfigError if it was another subject's: numbers of two would be taken for one's."""
        if self.folder.is_file():
            raise ConfigError(f"out={self.folder} is a file: name a folder")
        if not self.file.exists():
            return Results([])
        results = Results.from_json(read_text(self.file), self.file)
        for key in ("content", "weights_sha256"):
            if results.subject.get(key) != self.about.get(key):
                raise ConfigError(f"{self.file} holds the numbers of {_called(results.subject)}: choose another out")
        return results


class DrawnImages(Subject):
    """Images that a model draws. They stay in the folder of the results, where the next evaluation finds them."""

    def __init__(self, plan: SamplingJob):
        self.plan = plan
        self.name = f"{plan.subject['run'] or Path(plan.subject['checkpoint']).stem} seed {plan.subject['seed']}"
        self.fields, self.about = plan.protocol_fields, plan.subject
        self.shape = plan.model.denoiser.image_shape
        self.count = plan.count
        self.has_labels = plan.classes.columns > 0 or plan.model.num_classes > 0
        self.model = plan.model.config
        self.folder = plan.folder.path
        self.pairs = plan.pairs
        self._taken: SampleSet | None = None

    def images(self, processes: Processes) -> LabelledSource:
        drawn = draw_job(self.plan, processes)
        self._taken, self.seen = drawn.folder, drawn.shards
        return drawn.shards

    def trained_on(self) -> ImageDataset:
        return trained_data(self.plan.model.config, self.plan.model.file)

    def end(self) -> None:
        if self._taken is not None:
            self._taken.end()


class StoredImages(Subject):
    """Images that exist: in an npz, a folder, a zip, tar shards, or in a data set.

    path     of the file or folder, or the name of the data set
    stated   what is known of how they were drawn
    """

    def __init__(self, path: Path, images: LabelledSource, stated: dict[str, Any], out: Path | None):
        self._images = images
        self.name = path.name
        self.fields, self.about = stated, {"samples": str(path), "content": images.fingerprint}
        channels, height, width = images.images([0]).shape[1:]
        self.shape, self.count = (channels, height, width), len(images)
        self.has_labels = images.labels is not None
        self.model = None
        self.pairs = None
        self.folder = out or Path("evaluations") / f"{path.stem}-{images.fingerprint[:10]}"

    def images(self, processes: Processes) -> LabelledSource:
        processes.start()
        self.seen = self._images
        return self._images

    def trained_on(self) -> ImageDataset:
        raise ConfigError(f"{self.name}: nothing is known of a model of images in files")

    def end(self) -> None:
        pass


def _called(about: dict[str, Any]) -> str:
    return str(about.get("samples") or f"{about.get('checkpoint')} (step {about.get('step')})")


def subjects_of(config: DictConfig) -> Sequence[Subject]:
    """What the command names: one origin, or several checkpoints of one experiment."""
    for key in ("checkpoint", "samples", "reference"):
        if _keys().count(key) > 1:
            raise ConfigError(f"{key} is given twice, and the first would be left out: give it once")
    stages = options_of_stages(config, "evaluate", SamplingOptions)
    if config.stages:
        if config.samples is not None:
            raise ConfigError("stages=[...] draws images, and samples=... are images that exist: leave one of them out")
        if config.bits_per_dim:
            raise ConfigError("bits_per_dim is a number of one model, not of a cascade: measure its stages one by one")
        return [DrawnImages(plan_stages(stages, folder_beside if config.out is None else Path(config.out)))]
    if (config.checkpoint is None) == (config.samples is None):
        raise ConfigError(
            "give checkpoint=RUN (images are drawn), stages=[BASE,UPSAMPLER] (by one after the other), or samples=FILE (images that exist)"
        )
    out = None if config.out is None else Path(config.out)
    if config.samples is not None:
        _refuse_drawing(config)
        return [stored_images(config, Path(config.samples), out)]
    if not OmegaConf.is_list(config.checkpoint):
        return [drawn_images(stages[0], str(config.checkpoint), out)]
    if len(set(config.checkpoint)) != len(config.checkpoint):
        raise ConfigError(f"checkpoint={config.checkpoint} names one model twice")
    if out is not None:
        raise ConfigError("out=... is one folder, for one checkpoint: leave it out where there are several")
    subjects = [drawn_images(stages[0], str(name), None) for name in config.checkpoint]
    hashes = [subject.about["weights_sha256"] for subject in subjects]
    for i, name in enumerate(config.checkpoint):
        if hashes[i] in hashes[:i]:
            raise ConfigError(
                f"checkpoint: {name} has the weights of {config.checkpoint[hashes.index(hashes[i])]}: one run twice"
            )
    return subjects


def _keys() -> list[str]:
    """What the command line sets."""
    return [override.lstrip("+~").partition("=")[0] for override in command_words()]


def _refuse_drawing(config: DictConfig) -> None:
    """A ConfigError if the command says how to draw images that exist."""
    for key in _keys():
        if key.split(".")[0] in DRAWING_KEYS:
            raise ConfigError(
                f"{key} says how a model draws images, and samples={config.samples} exist already: leave it out"
            )


def drawn_images(options: SamplingOptions, checkpoint: str, out: Path | None) -> DrawnImages:
    """The images that this model draws."""
    own = with_values(options, {"checkpoint": checkpoint})
    return DrawnImages(plan_job(own, model_of(own), out or folder_beside))


def stored_images(config: DictConfig, path: Path, out: Path | None) -> StoredImages:
    """The images of a file, a folder or a data set of conf/data. What sample.py has written knows how it was drawn."""
    given: Any = OmegaConf.to_container(config.stated) if config.stated is not None else {}
    stated: dict[str, Any] = {STATED.get(str(name), str(name)): value for name, value in given.items()}
    value_range = None if config.value_range is None else tuple(config.value_range)
    if not path.exists() and (known := data_set(str(path), _reference_node(config))) is not None:
        return StoredImages(path, spread(known, config.samples_images), stated, out)
    for folder in (path, path.parent):
        if (folder / PLAN_FILE).is_file():
            written, drawing = read_set(folder)
            if folder == path or path in written:
                images = open_image_set(written[0] if folder == path else path)
                check_written(folder, images)
                return StoredImages(path, spread(images, config.samples_images), drawing | stated, out)
    return StoredImages(path, spread(open_image_set(path, value_range), config.samples_images), stated, out)


def _reference_node(config: DictConfig) -> Mapping[str, Any] | None:
    return None if config.get("data") is None else plain(config.data.dataset)


def folder_beside(checkpoint: Path, bound_to: Protocol) -> Path:
    """<run>/evaluations/<fingerprint>: the same images are found again, other ones lie elsewhere."""
    run = checkpoint.parent.parent
    root = run if (run / "config.yaml").is_file() else Path()
    stem = "" if root == run else f"{checkpoint.stem}-"
    return root / "evaluations" / f"{stem}{bound_to.fingerprint}"
