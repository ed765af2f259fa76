"""What a released model is, and how its format is found by the name that a user gives: openai:<path>, dit:<path>."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from difflab.config.groups import ConfigError
from difflab.networks import Network
from difflab.spaces import Space


class ReleasedFormat(Protocol):
    """A module of this package that reads the files of one project.

    Attributes:
        PROJECT: Whose models they are, for people: "OpenAI's".
    """

    PROJECT: str

    def network(self, path: Path, flags: str | None) -> Network:
        """The network of a file with its weights, in evaluation mode, float32.

        Args:
            path: The file or folder, which is there.
            flags: What the user says of the model beside its file.

        Raises:
            ValueError: The file holds no such model, or does not tell enough of it.
        """
        ...

    def check(self, path: Path, flags: str | None) -> None:
        """Checks that what is said of a model is enough to draw with it, before its weights are read.

        Raises:
            ValueError: It is not, or the file's format does not tell it.
        """
        ...

    def process(self, path: Path, flags: str | None, network: Network) -> Mapping[str, Any]:
        """The nodes of the parts around a network that draws: schedule, parameterization, variance, sampler, guidance, conditioning.

        Raises:
            ValueError: The model does not draw images from noise alone.
        """
        ...

    def space(self) -> Space:
        """In which the models live."""
        ...


@dataclass(frozen=True)
class Released:
    """A released model by the name that a user gives.

    Attributes:
        name: As given, openai:<path>.
        path: Of the file or folder.
        format: Reads it.
    """

    name: str
    path: Path
    format: ReleasedFormat

    def check(self, flags: str | None) -> None:
        """Checks that the model can be drawn with, as far as that is known without its weights."""
        self._check_exists()
        self.format.check(self.path, flags)

    def network(self, flags: str | None) -> Network:
        """The network with its weights. A ConfigError says what is wrong with the file."""
        self._check_exists()
        return self.format.network(self.path, flags)

    def _check_exists(self) -> None:
        if not self.path.exists():
            raise ConfigError(f"checkpoint={self.name}: there is no such file")


def released(name: str) -> Released | None:
    """The released model that a name means; None for a name that is no <format>:<path>, hence a run or a file of ours."""
    prefix, colon, path = name.partition(":")
    module = f"{__package__}.{prefix}"
    if not colon or not prefix.isidentifier() or module == __name__ or find_spec(module) is None:
        return None
    return Released(name, Path(path), cast(ReleasedFormat, import_module(module)))
