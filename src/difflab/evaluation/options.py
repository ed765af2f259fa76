"""How images are measured, by the options of evaluate.py: the fields of `EvaluationOptions` are the list of these keys, for everybody.

How a model draws the images is said by `difflab.sampling.SamplingOptions`, whose keys the command has as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from difflab.config.build import resolved
from difflab.config.groups import typed_keys
from difflab.config.options import Key, read_options
from difflab.config.values import FileOrFolder, Folder, Limits, Matching, Natural, Positive, Several, Word
from difflab.sampling.options import Node


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is measured of images and against what, by plain values and nodes of parts.

    Attributes:
        num_samples: How many images are drawn.
        batch_size: How many are drawn and embedded at a time.
        data: Node of data of conf/data to compare with; None for the run's own.
        extractor: Node; None for the run's, else the best one that is at hand.
        metric: Name -> node.
        samples: File, folder or data set of images that exist, in place of a model that draws some.
        samples_images: How many of them, spread evenly over them; None for all.
        value_range: Black and white in an npz of floats.
        stated: What is known of how such images were drawn: fields of the protocol.
        reference: File or folder of what to compare with, in place of a data set.
        reference_images: How many of the reference's images, spread evenly over it; None for all.
        replicates: Of the bootstrap behind each standard error; 0 for none.
        bits_per_dim: Images of the reference whose bits per dimension are measured as well; 0 for none.
        likelihood: Node of how these are measured; None for the variational bound.
        check: The other project whose own computation is put beside these numbers.
        out: Folder of the results; None for one beside the run.
        features: Folder of embedded images; None for the cache.
        sweep: Key of the sampling -> values that are tried, in all combinations.
        select: Metric by which the best setting is chosen; None for the distance.
        compare: Files of results that are compared, in place of measuring anything.
        waive: Fields of the protocol that may differ then.
        info: Metric -> what kind of number it is, of those whose files do not say it.
        logger: Name -> node of where results go besides; None for where the run was mirrored.
        typed: The keys that the command itself sets.
    """

    num_samples: Positive
    batch_size: Positive
    data: Annotated[Node | None, Key(refers=True)] = None
    extractor: Annotated[Node | None, Key(refers=True)] = None
    metric: Node | None = None
    samples: FileOrFolder | None = None
    samples_images: Several | None = None
    value_range: Limits | None = None
    stated: Node | None = None
    reference: FileOrFolder | None = None
    reference_images: Several | None = None
    replicates: Natural = 0
    bits_per_dim: Natural = 0
    likelihood: Annotated[Node | None, Key(refers=True)] = None
    check: Annotated[Word, Matching("torch_fidelity", "torch_fidelity")] | None = None
    out: Folder | None = None
    features: Folder | None = None
    sweep: Node = field(default_factory=dict)
    select: Annotated[Word, Matching("the name of a metric")] | None = None
    compare: Sequence[Word] = ()
    waive: Sequence[Word] = ()
    info: Node | None = None
    logger: Node | None = None
    typed: tuple[str, ...] = ()

    @property
    def axes(self) -> dict[str, Any]:
        """What is swept; a list of nothing is no axis."""
        return {key: values for key, values in self.sweep.items() if values != []}

    @property
    def dataset(self) -> Any:
        """Node of the data set that the command names; None for none. What else is said of data refers to keys of training."""
        return None if self.data is None else resolved({"data": self.data}, "data.dataset")

    def likelihood_of(self, model: Mapping[str, Any]) -> Mapping[str, Any]:
        """Node of the likelihood, in which parts of the model are meant by ${...}.

        Args:
            model: The model's configuration.
        """
        if self.likelihood is None:
            return {"_target_": "difflab.likelihoods.VariationalBound"}
        return resolved({**model, "likelihood": self.likelihood}, "likelihood")

    @property
    def limits(self) -> tuple[float, float] | None:
        """Black and white; None for bytes."""
        return None if self.value_range is None else (self.value_range[0], self.value_range[1])


def evaluation_options(config: Any) -> EvaluationOptions:
    """The options that a command's configuration sets, and what of it the command itself says.

    Args:
        config: Of evaluate.py, composed.

    Raises:
        ConfigError: A value is missing, or of another kind than its field says.
    """
    return replace(read_options(EvaluationOptions, config), typed=tuple(typed_keys()))
