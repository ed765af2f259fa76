"""Where a model lives: among pixels, in the latents of a frozen first stage, among videos, or among points.

Training encodes the examples of the data into the space, sampling decodes what was drawn; metrics, pictures and files see what is decoded.
A space of pixels, the default, leaves both as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks import weights_sha256
from difflab.noise import Noise
from difflab.pictures import cloud, grid_of

__all__ = ["FirstStage", "Latents", "Pixels", "Points", "Space", "Videos"]

FRAMES_SHOWN = 8
"""Frames of a clip in a picture."""


class Space(ABC):
    """Between the examples of the data, in the model's units ([-1, 1] for pixels), and x_0, what the model is of.

    Attributes:
        models: Name -> frozen network that it brings along. Their weights are part of a run's identity and of every protocol, and no part
            of its checkpoints.
        holds_pixels: Whether what is decoded are pixels in [-1, 1], which are stored in bytes; else numbers, stored as float32.
        crowd: How many a picture needs to show something: one image, or
            as many points as make a cloud, which is drawn by the first two coordinates.
    """

    models: Mapping[str, nn.Module] = MappingProxyType({})
    holds_pixels: bool = True
    crowd: int = 1

    @abstractmethod
    def encode(self, examples: Float[Tensor, "b ch *example"], noise: Noise) -> Float[Tensor, "b c *size"]:
        """x_0 of examples.

        Args:
            examples: As the data have them, [B, *example].
            noise: Of a posterior from which x_0 is drawn.
        """

    @abstractmethod
    def decode(self, x_0: Float[Tensor, "b c *size"]) -> Float[Tensor, "b ch *seen"]:
        """What is looked at."""

    @abstractmethod
    def encoded_shape(self, example: Sequence[int]) -> tuple[int, ...]:
        """(C, *size) of x_0.

        Args:
            example: Shape of an example of the data.
        """

    @abstractmethod
    def decoded_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of what is decoded of an x_0 of this shape."""

    @abstractmethod
    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        """One picture of several, in [0, 1].

        Args:
            images: As they are stored: uint8, or float32 where they are no pixels; [N, *seen].
            classes: As `difflab.pictures.grid_layout` has it.
        """

    @property
    def fingerprint(self) -> str:
        """A hash of the weights that it brings along; nothing where there are none."""
        return " ".join(f"{name} {weights_sha256(model.state_dict())}" for name, model in sorted(self.models.items()))

    def to(self, device: torch.device) -> None:
        """Moves the networks that it brings along."""
        for model in self.models.values():
            model.to(device)

    def check(self, x_0: Sequence[int], example: Sequence[int]) -> None:
        """Checks that a model of x_0 of one shape can be trained on examples of another.

        Raises:
            ValueError: It cannot.
        """
        if (wanted := self.encoded_shape(example)) != tuple(x_0):
            raise ValueError(
                f"space: data of {_words(example)} are {_words(wanted)} in {type(self).__name__}, and the model is of {_words(x_0)}: set "
                "network.image_size and network.in_channels to that, or choose another space"
            )


class Plain(Space):
    """Base of spaces in which an example is its own x_0."""

    @abstractmethod
    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]: ...

    def encode(self, examples: Float[Tensor, "b ch *example"], noise: Noise) -> Float[Tensor, "b c *size"]:
        return examples

    def decode(self, x_0: Float[Tensor, "b c *size"]) -> Float[Tensor, "b ch *seen"]:
        return x_0

    def encoded_shape(self, example: Sequence[int]) -> tuple[int, ...]:
        return tuple(example)

    def decoded_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(shape)


class Pixels(Plain):
    """Images [C, H, W]."""

    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        return grid_of(images, classes)


class Videos(Plain):
    """Clips [C, T, H, W] of T frames. A picture shows frames of each from left to right."""

    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        n, channels, frames, high, _ = images.shape
        shown = torch.linspace(0, frames - 1, min(frames, FRAMES_SHOWN)).round().long()
        return grid_of(images[:, :, shown].transpose(2, 3).reshape(n, channels, high, -1), 0)


class Points(Plain):
    """Points and vectors [C]. A picture is a cloud of the first two coordinates."""

    holds_pixels = False
    crowd = 1000

    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        return cloud(images.flatten(1)[:, :2])


class Undecoded(Plain):
    """Latents of a first stage that is not at hand: drawn and stored as they are, numbers of any size [C, H, W].

    A picture shows their first three channels, each from its smallest to its largest value: enough to see that there is something.
    """

    holds_pixels = False

    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        low, high = images.amin((0, 2, 3), keepdim=True), images.amax((0, 2, 3), keepdim=True)
        shown = (images - low) / (high - low).clamp_min(1e-12)
        return grid_of((255 * shown).round().to(torch.uint8)[:, : 3 if images.shape[1] >= 3 else 1], classes)


class FirstStage(nn.Module, ABC):
    """The first of two stages: images in [-1, 1] to latents and back (Rombach et al. 2022, arXiv 2112.10752, section 3.1).

    Attributes:
        image_channels: Channels of the images.
        channels: Channels of the latents.
        factor: Pixels along an axis for each latent.
    """

    image_channels: int
    channels: int
    factor: int

    @abstractmethod
    def encode(self, images: Float[Tensor, "b c h w"]) -> tuple[Tensor, Tensor | None]:
        """Mean and standard deviation of the latents' posterior, [B, channels, H / factor, W / factor].

        No deviation (None) for a code that is not drawn.
        """

    @abstractmethod
    def decode(self, latents: Float[Tensor, "b z h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Images in [-1, 1], or a little beyond."""


class Latents(Space):
    """x_0 = scale (z - shift), z drawn from the posterior of a frozen first stage.

    Args:
        first_stage: Encoder and decoder, which are not trained.
        channels: Those of the latents, for which the network is built: the first stage's.
        factor: Pixels along an axis for each latent: the first stage's.
        scale: Brings latents to a standard deviation of about 1 (0.18215 for Stable Diffusion 1).
        shift: Subtracted before; of each channel, or one for all.
        encoded: Whether the data hold latents z already, packed once for all epochs; then only the decoder is asked.

    Raises:
        ValueError: Channels or factor are not the first stage's, or the scale is not positive.
    """

    def __init__(
        self,
        first_stage: FirstStage,
        channels: int,
        factor: int,
        scale: float | Sequence[float] = 1.0,
        shift: float | Sequence[float] = 0.0,
        encoded: bool = False,
    ):
        self.first_stage = first_stage.eval().requires_grad_(False)
        found = (self.first_stage.channels, self.first_stage.factor)
        if found != (channels, factor):
            raise ValueError(
                f"space: {type(first_stage).__name__} makes {found[0]} channels of every {found[1]} x {found[1]} pixels: set "
                f"space.channels={found[0]} space.factor={found[1]}"
            )
        self.scale, self.shift = (torch.as_tensor(value, dtype=torch.float64).reshape(-1) for value in (scale, shift))
        if not (self.scale > 0).all():
            raise ValueError(f"space.scale={scale} must be positive")
        self.models = {"first_stage": self.first_stage}
        self.encoded = encoded

    @torch.no_grad()
    def encode(self, examples: Float[Tensor, "b ch *example"], noise: Noise) -> Float[Tensor, "b c *size"]:
        latents = examples
        if not self.encoded:
            with torch.autocast(examples.device.type, enabled=False):
                mean, std = self.first_stage.encode(examples.float())
            latents = mean if std is None else mean + std * noise.normal("first stage", tuple(mean.shape[1:])).to(mean)
        return (latents - self._wide(self.shift, latents)) * self._wide(self.scale, latents)

    @torch.no_grad()
    def decode(self, x_0: Float[Tensor, "b c *size"]) -> Float[Tensor, "b ch *seen"]:
        with torch.autocast(x_0.device.type, enabled=False):
            latents = x_0.float()
            return self.first_stage.decode(latents / self._wide(self.scale, latents) + self._wide(self.shift, latents))

    def encoded_shape(self, example: Sequence[int]) -> tuple[int, ...]:
        if self.encoded:
            return tuple(example)
        stage, (channels, *size) = self.first_stage, example
        if channels != stage.image_channels or len(size) != 2 or any(side % stage.factor for side in size):
            raise ValueError(
                f"space: {type(stage).__name__} encodes images of {stage.image_channels} channels whose sides are multiples of "
                f"{stage.factor}, and the data are {_words(example)}"
            )
        return stage.channels, *(side // stage.factor for side in size)

    def decoded_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.first_stage.image_channels, *(side * self.first_stage.factor for side in shape[1:])

    def picture(self, images: Tensor, classes: int) -> Float[Tensor, "3 height width"]:
        return grid_of(images, classes)

    @staticmethod
    def _wide(value: Tensor, like: Tensor) -> Tensor:
        """One number, or one of each channel, for a batch of latents."""
        return value.to(like).reshape(1, -1, *[1] * (like.ndim - 2))


def _words(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
