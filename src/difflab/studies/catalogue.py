"""Where studies are: those that come with difflab, one's own, and families of them, which are folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from difflab.config.paths import experiments_directory
from difflab.formatting import aligned
from difflab.studies.nodes import StudyError
from difflab.studies.spec import load_study
from difflab.suggest import near_name

FILE = "study.yaml"


class Family(NamedTuple):
    """A folder of studies.

    Attributes:
        name: As it was called.
        folder: Where it is.
        files: The study.yaml of each study, by name.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def studies(self) -> list[str]:
        """What each is called on a command line."""
        return [f"{self.name.rstrip('/')}/{file.parent.name}" for file in self.files]


def find_family(name: str) -> Family | None:
    """The folder of studies of this name, in experiments/ or a path; None if it is none."""
    for folder in (experiments_directory() / name, Path(name)):
        if name and not (folder / FILE).is_file() and (files := _within(folder)):
            return Family(name, folder, files)
    return None


def find_study(name: str) -> Path:
    """The file of a study: experiments/<name>/study.yaml, or a path of a study.yaml or of its folder.

    Args:
        name: As a user calls it; claims/schedule is the study `schedule` of the family `claims`.

    Raises:
        StudyError: There is none; with what there is.
    """
    folder = experiments_directory()
    for path in (folder / name / FILE, Path(name) / FILE, Path(name)):
        if name and path.is_file():
            return path
    if family := find_family(name):
        raise StudyError(
            f"{name} is a folder of {len(family.files)} studies, of which a table can be made; for all else name one of them: "
            f"{', '.join(family.studies)}"
        )
    known = sorted(path.parent.relative_to(folder).as_posix() for path in _shipped())
    own = _own_studies(Path(name).parent if name else Path())
    if near := near_name(name, [*own, *known]):
        raise StudyError(f"there is no study {name!r}: did you mean {near!r}?")
    here = f"in {Path(name).parent}/ there are {', '.join(own)}; " if own else ""
    raise StudyError(
        f"there is no study {name!r}: {here}{', '.join(known)} come with difflab (study.py list says what they ask)"
    )


def _within(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(folder.glob(f"*/{FILE}")))
    except OSError:
        return ()


def _shipped() -> Iterator[Path]:
    """Of all studies that come with difflab, those of a family after its name."""
    for folder in sorted(path for path in experiments_directory().glob("*") if path.is_dir()):
        yield from [folder / FILE] if (folder / FILE).is_file() else _within(folder)


def _own_studies(folder: Path) -> list[str]:
    """What in a folder could be a study, as it is typed."""
    try:
        files = [path for path in (*folder.glob("*.yaml"), *folder.glob("*.yml")) if path.is_file()]
        return sorted(map(str, [*files, *(path.parent for path in folder.glob(f"*/{FILE}"))]))
    except OSError:
        return []


def study_list() -> str:
    """Every study that comes with difflab, with its question."""
    studies = [load_study(path) for path in _shipped()]
    sizes = [f"{len(s.rows)} rows x {len(s.seeds)} seeds{f' + {len(s.cited)} cited' * bool(s.cited)}" for s in studies]
    return aligned([(study.name, size, study.question) for study, size in zip(studies, sizes, strict=True)])
