"""Writes what the published studies cost into their READMEs, as `study.py STUDY plan` counts it. Needs neither data nor weights.

    python scripts/study_costs.py [STUDY ...]

A README that tells costs has the sentence between two comments, <!-- costs --> and <!-- end of costs -->. What is known besides, as hours
that were measured, stands outside of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from difflab.config.paths import experiments_directory
from difflab.files import write_text
from difflab.studies import load_study
from difflab.studies.planning.plan import cost_sentence
from difflab.studies.planning.planning import plan_study

TOLD = re.compile(r"(?<=<!-- costs -->\n).*?(?=\n<!-- end of costs -->)", re.DOTALL)


def sentence_of(folder: Path) -> str:
    """What the study in a folder costs."""
    return cost_sentence(plan_study(load_study(folder / "study.yaml"), [], None, "network.width"))


def readmes() -> list[Path]:
    """Of all studies that tell their costs."""
    found = sorted(experiments_directory().glob("*/README.md"))
    return [path for path in found if TOLD.search(path.read_text(encoding="utf-8"))]


def main() -> None:
    for path in readmes():
        if not sys.argv[1:] or path.parent.name in sys.argv[1:]:
            text, told = path.read_text(encoding="utf-8"), sentence_of(path.parent)
            write_text(path, TOLD.sub(lambda _, told=told: told, text))
            print(f"{path.parent.name}: {told}")


if __name__ == "__main__":
    main()
