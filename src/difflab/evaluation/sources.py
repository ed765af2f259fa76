"""What evaluate.py measures: images that a model draws, or images that lie in files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from difflab.checkpoints.trained_data import data_set, trained_data
from difflab.config.groups import ConfigError
from difflab.config.options import keys_of, with_values
from difflab.data import ImageDataset, open_image_set
from difflab.data.dataset import LabelledSource
from difflab.data.subset import spread
from difflab.distributed import Processes
from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.published import STATED
from difflab.evaluation.results import Results
from difflab.metrics import Pairs, Protocol
from difflab.reading import read_text
from difflab.sampling import PLAN_FILE, SampleSet, SamplingOptions, check_written, read_set
from difflab.sampling.build import model_of, plan_job, plan_stages
from difflab.sampling.draw import draw_job
from difflab.sampling.job import SamplingJob
from difflab.spaces import Pixels, Space


class EvaluatedImages(ABC):
    """Images of one origin, of which nothing need exist yet.

    Attributes:
        name: What a table calls them.
        fields: What of a number's protocol they are, nested.
        about: Which model or file it is: no part of the protocol.
        shape: (C, *size) of each.
        count: N.
        has_labels: Whether each has a class.
        model: The model's configuration, where there is one: what it was trained on, how it was evaluated, what was published.
        job: By which a model draws them; None for images that exist.
        folder: Where the results go.
        pairs: What each image was drawn for, of upsampled ones; None for others.
        seen: The images, once `images` has given them.
        space: In which the model lives.
    """

    name: str
    fields: dict[str, Any]
    about: dict[str, Any]
    shape: tuple[int, ...]
    count: int
    has_labels: bool
    model: Mapping[str, Any] | None = None
    job: SamplingJob | None = None
    folder: Path
    pairs: Pairs | None = None
    seen: LabelledSource | None = None
    space: Space = Pixels()

    @abstractmethod
    def images(self, processes: Processes) -> LabelledSource:
        """The images, which are drawn where they do not exist yet. All processes must call it.

        Raises:
            SamplingStopped: Sampling was interrupted.
        """

    @abstractmethod
    def end(self) -> None:
        """Gives back what `images` has taken."""

    @abstractmethod
    def trained_on(self) -> ImageDataset:
        """The data of the model.

        Raises:
            ConfigError: They are not at hand, or are not those of the training any more.
        """

    @property
    def file(self) -> Path:
        """Where the results go."""
        return self.folder / "results.json"

    def earlier(self) -> Results:
        """What was measured there before.

        Raises:
            ConfigError: It was measured of other images: numbers of two would be taken for one's.
        """
        if self.folder.is_file():
            raise ConfigError(f"out={self.folder} is a file: name a folder")
        if not self.file.exists():
            return Results([])
        results = Results.from_json(read_text(self.file), self.file)
        for key in ("content", "weights_sha256"):
            if results.subject.get(key) != self.about.get(key):
                raise ConfigError(f"{self.file} holds the numbers of {_called(results.subject)}: choose another out")
        return results


class GeneratedImages(EvaluatedImages):
    """Images that a model draws. They stay in the folder of the results, where the next evaluation finds them.

    Args:
        job: By which they are drawn.
    """

    def __init__(self, job: SamplingJob):
        self.job = self._job = job
        self.name = f"{job.subject['run'] or Path(job.subject['checkpoint']).stem} seed {job.subject['seed']}"
        self.fields, self.about = job.protocol_fields, job.subject
        self.shape = job.image_shape
        self.count = job.count
        self.has_labels = job.num_classes > 0
        self.model, self.space = job.model.config, job.model.space
        self.folder = job.folder.path
        self.pairs = job.pairs
        self._taken: SampleSet | None = None

    def images(self, processes: Processes) -> LabelledSource:
        drawn = draw_job(self._job, processes)
        self._taken, self.seen = drawn.folder, drawn.shards
        if drawn.seconds_per_image is not None:
            self.about["seconds_per_image"] = drawn.seconds_per_image
        return drawn.shards

    def trained_on(self) -> ImageDataset:
        return trained_data(self._job.model.config, self._job.model.file)

    def end(self) -> None:
        if self._taken is not None:
            self._taken.end()


class StoredImages(EvaluatedImages):
    """Images that exist: in an npz, a folder, a zip, tar shards, or in a data set.

    Args:
        path: Of the file or folder, or the name of the data set.
        images: What is there.
        stated: What is known of how they were drawn.
        out: Folder of the results; None for one by the images' name and content.
    """

    def __init__(self, path: Path, images: LabelledSource, stated: dict[str, Any], out: Path | None):
        self._images = images
        self.name = path.name
        self.fields, self.about = stated, {"samples": str(path), "content": images.fingerprint}
        self.shape, self.count = tuple(images.images([0]).shape[1:]), len(images)
        self.has_labels = images.labels is not None
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


def evaluated_images(options: EvaluationOptions, stages: Sequence[SamplingOptions]) -> list[EvaluatedImages]:
    """What the command names: images of one origin, or of several checkpoints of one experiment.

    Args:
        options: Of the evaluation.
        stages: Of the sampling: of each stage of a cascade, or of the one model.

    Raises:
        ConfigError: What is named does not go together.
        ValueError: It cannot be read.
    """
    for key in ("checkpoint", "samples", "reference"):
        if options.typed.count(key) > 1:
            raise ConfigError(f"{key} is given twice, and the first would be left out: give it once")
    checkpoint, out = stages[0].checkpoint, None if options.out is None else Path(str(options.out))
    if stages[0].stages:
        if options.samples is not None:
            raise ConfigError("stages=[...] draws images, and samples=... are images that exist: leave one of them out")
        if options.bits_per_dim:
            raise ConfigError("bits_per_dim is a number of one model, not of a cascade: measure its stages one by one")
        return [GeneratedImages(plan_stages(stages, out or folder_beside))]
    if (checkpoint is None) == (options.samples is None):
        raise ConfigError(
            "give checkpoint=RUN (images are drawn), stages=[BASE,UPSAMPLER] (by one after the other), or samples=FILE (images that exist)"
        )
    if options.samples is not None:
        _refuse_sampling(options)
        return [stored_images(options, Path(str(options.samples)), out)]
    if not isinstance(checkpoint, list):
        return [generated_images(stages[0], str(checkpoint), out)]
    if len(set(checkpoint)) != len(checkpoint):
        raise ConfigError(f"checkpoint={checkpoint} names one model twice")
    if out is not None:
        raise ConfigError("out=... is one folder, for one checkpoint: leave it out where there are several")
    found = [generated_images(stages[0], str(name), None) for name in checkpoint]
    hashes = [one.about["weights_sha256"] for one in found]
    for i, name in enumerate(checkpoint):
        if hashes[i] in hashes[:i]:
            raise ConfigError(
                f"checkpoint: {name} has the weights of {checkpoint[hashes.index(hashes[i])]}: one run twice"
            )
    return [*found]


def _refuse_sampling(options: EvaluationOptions) -> None:
    """Raises a ConfigError if the command says how to draw images that exist."""
    of_model = {name for name, key in keys_of(SamplingOptions).items() if key.of_model}
    for key in options.typed:
        if key.split(".")[0] in of_model:
            raise ConfigError(
                f"{key} says how a model draws images, and samples={options.samples} exist already: leave it out"
            )


def generated_images(options: SamplingOptions, checkpoint: str, out: Path | None) -> GeneratedImages:
    """The images that this model draws."""
    own = with_values(options, {"checkpoint": checkpoint})
    return GeneratedImages(plan_job(own, model_of(own), out or folder_beside))


def stored_images(options: EvaluationOptions, path: Path, out: Path | None) -> StoredImages:
    """The images of a file, a folder or a data set of conf/data. What sample.py has written knows how it was drawn."""
    stated = {STATED.get(str(name), str(name)): value for name, value in (options.stated or {}).items()}
    images: LabelledSource | None = None
    if not path.exists():
        images = data_set(str(path), options.dataset)
    for folder in (path, path.parent):
        if images is None and (folder / PLAN_FILE).is_file():
            written, sampling = read_set(folder)
            if folder == path or path in written:
                images, stated = open_image_set(written[0] if folder == path else path), sampling | stated
                check_written(folder, images)
    if images is None:
        images = open_image_set(path, options.limits)
    return StoredImages(path, spread(images, options.samples_images), stated, out)


def folder_beside(checkpoint: Path, bound_to: Protocol) -> Path:
    """<run>/evaluations/<fingerprint>: the same images are found again, other ones lie elsewhere."""
    run = checkpoint.parent.parent
    root = run if (run / "config.yaml").is_file() else Path()
    stem = "" if root == run else f"{checkpoint.stem}-"
    return root / "evaluations" / f"{stem}{bound_to.fingerprint}"
