"""Where studies are: those that come with difflab, one's own, and folders of them."""

from __future__ import annotations

from pathlib import Path

from difflab.config.paths import experiments_directory
from difflab.formatting import aligned
from difflab.studies.nodes import StudyError
from difflab.studies.spec import load_study
from difflab.suggest import near_name


def find_study(name: str) -> Path:
    """The file of a study: experiments/<name>/study.yaml, or a path of a study.yaml or of its folder.

    Args:
        name: As a user calls it.

    Raises:
        StudyError: There is none; with what there is.
    """
    folder = experiments_directory()
    for path in (folder / name / "study.yaml", Path(name) / "study.yaml", Path(name)):
        if name and path.is_file():
            return path
    known = sorted(path.parent.name for path in folder.glob("*/study.yaml"))
    own = _own_studies(Path(name).parent if name else Path())
    if near := near_name(name, [*own, *known]):
        raise StudyError(f"there is no study {name!r}: did you mean {near!r}?")
    here = f"in {Path(name).parent}/ there are {', '.join(own)}; " if own else ""
    raise StudyError(
        f"there is no study {name!r}: {here}{', '.join(known)} come with difflab (study.py list says what they ask)"
    )


def _own_studies(folder: Path) -> list[str]:
    """What in a folder could be a study, as it is typed."""
    try:
        files = [path for path in (*folder.glob("*.yaml"), *folder.glob("*.yml")) if path.is_file()]
        return sorted(map(str, [*files, *(path.parent for path in folder.glob("*/study.yaml"))]))
    except OSError:
        return []


def study_list() -> str:
    """Every study that comes with difflab, with its question."""
    studies = [load_study(path) for path in sorted(experiments_directory().glob("*/study.yaml"))]
    sizes = [f"{len(s.rows)} rows x {len(s.seeds)} seeds{f' + {len(s.cited)} cited' * bool(s.cited)}" for s in studies]
    return aligned([(study.name, size, study.question) for study, size in zip(studies, sizes, strict=True)])
