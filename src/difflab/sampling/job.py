"""A sample set that a model or a cascade draws: all that is known of it before the first image, and what of it a protocol names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from difflab.checkpoints.load import LoadedModel
from difflab.features import to_uint8
from difflab.former_names import first, first_name
from difflab.guidance import Guidance
from difflab.metrics import Pairs, Protocol
from difflab.networks import Compute, weights_sha256
from difflab.runtime.foreign_code import foreign_code
from difflab.samplers import Sampler
from difflab.sampling.options import SamplingOptions
from difflab.sampling.prompts import Conditions, Several
from difflab.sampling.sample_set import SampleSet
from difflab.schedules import NoiseSchedule
from difflab.spaces import Space
from difflab.training.callbacks import GuidanceCallback


def guidance_fields(config: Mapping[str, Any], guidances: Mapping[str, Guidance]) -> dict[str, Any]:
    """The guidances' configuration, where a network that one brings along is named by its weights and not by where they lie.

    Of several it also says in which order they lie around the model, which the names of fields do not tell.

    Args:
        config: Name -> node, plain and resolved.
        guidances: What was made of it.
    """
    fields = {
        name: {
            **first(node),
            **{part: {"weights_sha256": weights_sha256(model.state_dict())} for part, model in brought},
        }
        for name, node in config.items()
        for brought in [guidances[name].models.items()]
    }
    return {"guidance": fields} | ({"guidance_order": ", ".join(fields)} if len(fields) > 1 else {})


def code_fields(*nodes: Any) -> dict[str, Any]:
    """Module -> hash of code of the user's own that these nodes name; nothing where there is none.

    Args:
        nodes: Of what draws images, plain and resolved.
    """
    code = foreign_code(*nodes).fingerprints()
    return {"code": code} if code else {}


def space_fields(config: Mapping[str, Any] | None, space: Space) -> dict[str, Any]:
    """The space in which images are drawn, its frozen networks by their weights; nothing for that of pixels.

    Args:
        config: Its node, plain and resolved.
        space: What was made of it.
    """
    if not config:
        return {}
    frozen = {name: {"weights_sha256": weights_sha256(model.state_dict())} for name, model in space.models.items()}
    return {"space": {**first(config), **frozen}}


def sampler_fields(config: Mapping[str, Any], sampler: Sampler, schedule: NoiseSchedule) -> dict[str, Any]:
    """The sampler's configuration; where churn raises the first step above the schedule's end, also to which level.

    That step added nothing before (the level was cut at the end). So images and numbers of then lack the field: they are not taken for
    those of now, are not continued, and a comparison names it.

    Args:
        config: Its node, plain and resolved.
        sampler: What was made of it.
        schedule: The model's.
    """
    raised = sampler.churn.above_end(schedule, sampler.chain(schedule))
    return {"sampler": {**config, **({"raised_to": float(f"{raised:.6g}")} if raised else {})}}


def sampling_fields(
    config: Mapping[str, Any], module: Any, track: str, count: int, conditions: Conditions
) -> dict[str, Any]:
    """What of a protocol says how images are drawn while a run trains; evaluate.py says the same of the same images.

    Args:
        config: Of the run, resolved.
        module: Of the training.
        track: Which weights.
        count: Images.
        conditions: What they are drawn for.
    """
    guidance, sampler = config["guidance"], config["sampler"]
    return {
        **sampler_fields(sampler, module.sampler, module.denoiser.schedule),
        **guidance_fields(guidance, module.guidance.guidances),
        **code_fields(sampler, guidance),
        **space_fields(config.get("space"), module.space),
        "track": track,
        "seeds": f"0 .. {count - 1}",
        **conditions.fields,
        "precision": str(config["trainer"]["precision"]),
        "quantization": first_name(f"{to_uint8.__module__.rpartition('.')[0]}.{to_uint8.__name__}"),
    }


@dataclass(frozen=True)
class SamplingJob:
    """A set of images that can be drawn: everything was read, built and checked.

    Attributes:
        model: The model that draws.
        config: The model's configuration with the sampler and guidance that were chosen, plain and resolved.
        sampler: What walks from noise to images.
        guidance: What is around the model.
        compute: How the network is computed.
        conditions: For whom each image is drawn; data are opened when they are first asked for.
        out: Where the images go; or from the model's file and what the images depend on to that place.
        options: What the command said.
        count: Images that are drawn: num_samples, in a cascade as many more as fill the batches of the next stage.
        before: In a cascade the stage whose images are upsampled; None for its first stage, and for a model by itself.
    """

    model: LoadedModel
    config: dict[str, Any]
    sampler: Sampler
    guidance: GuidanceCallback
    compute: Compute
    conditions: Several
    out: Path | Callable[[Path, Protocol], Path]
    options: SamplingOptions
    count: int
    before: SamplingJob | None

    @property
    def stages(self) -> tuple[SamplingJob, ...]:
        """From the first one to this."""
        return (self,) if self.before is None else (*self.before.stages, self)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, *size) of what is drawn, as it is seen."""
        return self.model.space.decoded_shape(self.model.denoiser.image_shape)

    @property
    def first_seeds(self) -> torch.Tensor:
        """Of the images that are drawn first together."""
        first = self.options.first_seed
        return torch.arange(first, first + min(self.options.batch_size, self.count))

    @property
    def num_classes(self) -> int:
        """Classes of its images; 0 for none."""
        return self.model.num_classes or self.guidance.num_classes

    @property
    def protocol_fields(self) -> dict[str, Any]:
        """What of a number's protocol the samples are: nothing here depends on how or where they are drawn.

        Of a cascade the fields of each stage are below stages.<number>.
        """
        first, count = self.options.first_seed, self.options.num_samples
        seeds = {"seeds": f"{first} .. {first + count - 1}"}
        if self.before is None:
            return seeds | self._own_fields
        return seeds | {"stages": {str(i): stage._own_fields for i, stage in enumerate(self.stages)}}

    @property
    def _own_fields(self) -> dict[str, Any]:
        return {
            **sampler_fields(self.config["sampler"], self.sampler, self.model.denoiser.schedule),
            **guidance_fields(self.config["guidance"], self.guidance.guidances),
            **code_fields(self.config["sampler"], self.config["guidance"]),
            **space_fields(self.config.get("space"), self.model.space),
            "track": self.model.track,
            **self.conditions.fields,
            "precision": self.options.precision,
            "quantization": first_name(self.options.quantization["_target_"]),
        }

    @property
    def pairs(self) -> Pairs | None:
        """What each image is compared with; None for those of a model that draws from noise alone, and of a cascade."""
        return None if self.before is not None else self.conditions.pairs

    @property
    def subject(self) -> dict[str, Any]:
        """Which model it is; of a cascade, which models."""
        own = self._own_subject
        if self.before is None:
            return own
        stages = [stage._own_subject for stage in self.stages]
        names = [stage["run"] or Path(stage["checkpoint"]).stem for stage in stages]
        together = {key: " -> ".join(stage[key] for stage in stages) for key in ("checkpoint", "weights_sha256")}
        return own | together | {"run": " -> ".join(names), "stages": stages}

    @property
    def _own_subject(self) -> dict[str, Any]:
        run = self.model.config.get("run")
        return {
            "checkpoint": str(self.model.file),
            "step": self.model.step,
            "weights_sha256": self.model.weights_sha256,
            "seed": self.model.config.get("seed"),
            "run": None if run is None else run["name"],
        }

    @cached_property
    def folder(self) -> SampleSet:
        """Where it is drawn, bound to all that the images depend on to the last bit."""
        chosen = ("noise_conditioning",) if self.config.get("noise_conditioning") else ()
        parts = ("network", "schedule", "parameterization", "variance", *chosen)
        size = self.options.batch_size
        bits = {
            "weights_sha256": self.model.weights_sha256,
            "model": {name: self.config[name] for name in parts if name in self.config},
            **{f"model_{name}": code for name, code in code_fields(*(self.config.get(name) for name in parts)).items()},
            "first_seed": self.options.first_seed,
            "batch_size": size,
            "threads": self.options.threads,
        }
        if self.compute.changes_bits:
            bits["compute"] = dict(self.options.compute)
        if self.before is not None:
            bits["stage_before"] = self.before.folder.plan.fingerprint
        fields = {name: value for name, value in self.protocol_fields.items() if name != "seeds"}
        bound_to = Protocol.of(fields | bits)
        place = self.out if isinstance(self.out, Path) else self.out(self.model.file, bound_to)
        return SampleSet(place, bound_to, size)

    @property
    def request(self) -> dict[str, Any]:
        """What is wanted of the images besides what they depend on: how many, and what is written of them."""
        return {
            "num_samples": self.options.num_samples,
            "grid": self.options.grid,
            "format": dict(self.options.format or {}),
            "plan": self.folder.plan.fingerprint,
        }

    def leave(self) -> None:
        """Takes the networks from the device: a further stage needs the room."""
        self.model.denoiser.to("cpu")
        self.guidance.to(torch.device("cpu"))
        self.model.space.to(torch.device("cpu"))
