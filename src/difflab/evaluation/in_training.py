"""How a run is evaluated while it trains: the group `evaluation`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.ema import ONLINE
from difflab.evaluation.callback import NoEvaluation, TrackEvaluation
from difflab.metrics import MetricInfo, Protocol

if TYPE_CHECKING:
    from difflab.data import ImageData
    from difflab.training import TrainedModule


class Evaluation(ABC):
    """Makes the callback that evaluates the weights, and says what its numbers are.

    Attributes:
        tracks: Which weights; the first of them decides.
        fingerprint: Of what it brings along, as part of a run's identity.
        score: Label of the number that is the smaller the better: best.ckpt is chosen by it.
        needs_pictures: Whether the data have to be such that they can be looked at, which latents cannot.
    """

    tracks: Sequence[str]
    fingerprint: str
    score: str
    needs_pictures: bool = True

    @abstractmethod
    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        """The callback; it may put pictures into the folder `samples`."""

    @abstractmethod
    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        """Label -> what one has to know before comparing the number with others."""

    @abstractmethod
    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        """Label -> what kind of number it is."""

    @abstractmethod
    def described(self, config: Mapping[str, Any]) -> str:
        """For the recipe of a run."""

    def fitting(self, data: ImageData) -> Evaluation:
        """What can be evaluated of a model of these data: this, or less."""
        if self.needs_pictures and data.dataset.is_encoded and not data.space.models:
            return LossesAlone(self.tracks, self.fingerprint, "latents are no pictures, and there is no decoder")
        return self

    @abstractmethod
    def measured(self, data: ImageData) -> str:
        """How many images are measured, and against what, for the lines of an evaluation; nothing where there is none."""

    @property
    def monitor(self) -> str:
        """The score of the first track."""
        return f"eval/{next(iter(self.tracks), ONLINE)}/{self.score}"

    def scores(self, data: ImageData) -> dict[str, MetricInfo]:
        """eval/<track>/<label> -> what kind of number it is."""
        infos = self.info(data)
        return {f"eval/{track}/{label}": info for track in self.tracks or [ONLINE] for label, info in infos.items()}

    def all_protocols(self, config: Mapping[str, Any], module: TrainedModule[Any], data: ImageData) -> dict[str, Any]:
        """eval/<track>/<label> -> the fields that define it, their fingerprint, and what kind of number it is."""
        infos = self.info(data)
        if infos and (self.score not in infos or infos[self.score].higher_is_better is not False):
            raise ValueError(
                f"{type(self).__name__}.score = {self.score}: best.ckpt is the checkpoint at which it is lowest, so it names a number that "
                f"declares higher_is_better=False, of {', '.join(n for n, i in infos.items() if i.higher_is_better is False) or 'none'}"
            )
        return {
            f"eval/{track}/{label}": {
                "fingerprint": protocol.fingerprint,
                "info": infos[label].to_json(),
                **protocol.fields,
            }
            for track in self.tracks or [ONLINE]
            for label, protocol in self.protocols(config, module, data, track).items()
        }


class LossesAlone(Evaluation):
    """Nothing is drawn, to score or to choose best.ckpt by: of a model that draws no images, and of latents without a decoder.

    Args:
        tracks: Which weights would be evaluated.
        fingerprint: Of what an evaluation that this stands for brings along, which stays a part of the run's identity.
        reason: Why that is all, for people.
    """

    score = ""

    def __init__(self, tracks: Sequence[str], fingerprint: str = "", reason: str = "nothing is drawn"):
        self.tracks = tracks
        self.fingerprint = fingerprint
        self.reason = reason

    def callback(self, data: ImageData, samples: Path) -> TrackEvaluation:
        return NoEvaluation(self.tracks)

    def protocols(self, config: Mapping[str, Any], module: Any, data: ImageData, track: str) -> dict[str, Protocol]:
        return {}

    def info(self, data: ImageData) -> dict[str, MetricInfo]:
        return {}

    def described(self, config: Mapping[str, Any]) -> str:
        return f"losses alone: {self.reason}"

    def measured(self, data: ImageData) -> str:
        return ""
