"""Writes the parts of the pages that follow from the code: what stands between `<!-- written: NAME -->` and `<!-- end -->`.

python -m scripts.write_pages                     writes them
python -m scripts.write_pages docs/choices.md     of some pages
python -m scripts.write_pages --check             exit status 1, and the names of pages, where one is not as it would be written

A page asks for a part by its name; a part is a function of `PARTS`. tests/docs/test_written_pages.py holds the pages to it.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "experiments").glob("**/README.md")),
]
_PART = re.compile(r"(?P<open><!-- written: (?P<name>[\w -]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)
_HOUSEHOLD = ("module", "recipe", "hydra", "experiment")
"""Groups that are no choice of a user's: wiring, what experiments share, Hydra's own; experiments have a list of their own."""


def written(text: str) -> str:
    """A page with all its parts written anew."""
    return _PART.sub(lambda part: f"{part['open']}{PARTS[part['name']]()}\n{part['close']}", text)


def main() -> int:
    """Writes all pages or those that are named, or says which are not as they would be written."""
    stale, named = [], [ROOT / word for word in sys.argv[1:] if word != "--check"]
    for page in named or PAGES:
        text = page.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    print("\n".join(stale))
    return 1 if stale and "--check" in sys.argv else 0


def choices() -> str:
    """Each group of conf/ with its choices, and the first comment of each file."""
    rows: dict[str, list[str]] = {}
    for choice, file in choice_files():
        group = choice.partition("=")[0]
        if group.split("/")[0] not in _HOUSEHOLD:
            rows.setdefault(group, []).append(f"| `{file.stem}` | {_described(file)} |")
    return "\n\n".join(
        "\n".join([f"## `{group}`", "", "| choice | |", "|---|---|", *own]) for group, own in rows.items()
    )


def choice_files() -> Iterator[tuple[str, Path]]:
    """Each choice of conf/ as it is typed, "network/norm=adagn", with its file; group by group."""
    conf = ROOT / "conf"
    for folder in sorted(path for path in conf.rglob("*") if path.is_dir()):
        for file in sorted(folder.glob("*.yaml")):
            yield f"{folder.relative_to(conf).as_posix()}={file.stem}", file


def experiments() -> str:
    """Each experiment with its line."""
    folder = ROOT / "conf" / "experiment"
    rows = [
        f"| `{path.relative_to(folder).with_suffix('').as_posix()}` | {_described(path)} |"
        for path in sorted(folder.rglob("*.yaml"))
    ]
    return "\n".join(["| experiment | |", "|---|---|", *rows])


def _described(path: Path) -> str:
    """The first comment of a file that is no instruction to Hydra, as one cell of a table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line]
    return (comments[0] if comments else "").replace("|", "\\|").replace("<", "&lt;")


def on_paper(table: str) -> Callable[[], str]:
    """A table of benchmarks/scaling_paper.py, by the end of its function's name."""

    def part() -> str:
        from benchmarks import scaling_paper

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            getattr(scaling_paper, f"print_{table}")(_works())
        return out.getvalue().strip()

    return part


def sensitivity() -> str:
    """How much of it hangs on the assumptions."""
    from benchmarks import scaling_paper

    name, out = "256x256_diffusion", io.StringIO()
    with contextlib.redirect_stdout(out):
        scaling_paper.print_sensitivity(_works()[name], scaling_paper.MODELS[name][1])
    return out.getvalue().strip()


def convergence() -> str:
    """The orders of convergence of samplers."""
    from scripts import convergence

    return convergence.table()


def sampler_matrix() -> str:
    """Every sampler down every schedule."""
    from scripts import sampler_matrix

    return sampler_matrix.table()


@cache
def _works() -> dict[str, Any]:
    from benchmarks import scaling_paper

    return {name: scaling_paper.workload(name) for name in scaling_paper.MODELS}


PARTS: dict[str, Callable[[], str]] = {
    "choices": choices,
    "experiments": experiments,
    "convergence": convergence,
    "sampler matrix": sampler_matrix,
    "scaling networks": on_paper("counts"),
    "scaling weak": on_paper("weak"),
    "scaling memory": on_paper("memory"),
    "scaling strong": on_paper("strong"),
    "scaling assumptions": sensitivity,
}
"""Name of a part -> what writes it."""

if __name__ == "__main__":
    sys.exit(main())
