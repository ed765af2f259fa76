"""What `make docs` adds to the pages of docs/: README.md, the reference, and the pages elsewhere that others refer to.

mkdocs-gen-files runs this while the site is built; mkdocs.yml says so.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scripts import reference  # noqa: E402

PLACES = {ROOT / "README.md": "start.md"}
"""Pages beside docs/, and where in the site they are. Those of studies and results are found."""
PLACES |= {path: f"{path.parent.relative_to(ROOT)}.md" for path in ROOT.glob("experiments/**/README.md")}
PLACES |= {path: str(path.relative_to(ROOT)) for path in ROOT.glob("benchmarks/results/*.md")}
PLACES |= {path: str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<path>[^)#:\s]+)(?P<anchor>#[^)]*)?\)")


def moved(source: Path) -> str:
    """A page with its links as they are in the site. What is no page of it, a folder of code, is named and not linked."""

    def link(found: re.Match[str]) -> str:
        path = (source.parent / found["path"]).resolve()
        place = PLACES.get(path / "README.md" if path.is_dir() else path)
        if place is None and path.is_relative_to(ROOT / "docs"):
            place = str(path.relative_to(ROOT / "docs"))  # a picture
        if place is None:
            return found["text"].strip("![]")
        return f"{found['text']}({os.path.relpath(place, Path(PLACES[source]).parent)}{found['anchor'] or ''})"

    return _LINK.sub(link, source.read_text(encoding="utf-8"))


def title(text: str) -> str:
    """The heading of a page."""
    return text.partition("\n# ")[2].partition("\n")[0] if not text.startswith("# ") else text[2:].partition("\n")[0]


def write(place: str, text: str) -> None:
    with mkdocs_gen_files.open(place, "w", encoding="utf-8") as file:
        file.write(text)


pages = {place: moved(source) for source, place in PLACES.items()}
for place, text in pages.items():
    write(place, text)

modules = list(reference.modules())
for module in modules:
    write(f"reference/{module.__name__}.md", reference.page(module))
write("reference/index.md", reference.overview(modules))

inside_docs = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
named = [place for place in re.findall(r"\(([\w/]+\.md)\)", pages["README.md"]) if place in inside_docs]
guide = ["start.md", "README.md", *dict.fromkeys(named)]
guide += sorted(inside_docs - set(guide))
nav = [f"- [{title(pages[place])}]({place})" for place in guide if place != "start.md"]
nav.insert(0, "- [Start](start.md)")
nav += ["- [Reference](reference/index.md)"]
nav += [f"    - [{module.__name__.removeprefix('difflab.')}](reference/{module.__name__}.md)" for module in modules]
for folder in ("experiments", "benchmarks"):
    nav.append(f"- {folder.capitalize()}")
    inside = sorted(place for place in pages if place.startswith(folder))
    nav += [f"    - [{title(pages[place])}]({place})" for place in inside]
write("SUMMARY.md", "\n".join(nav) + "\n")
write(
    "site.css",
    ".md-grid { max-width: 80rem; }\n.md-typeset td code { white-space: nowrap; }\n"
    ".mathematics { overflow-x: auto; padding: 0.3em 0; font-size: 115%; }\n"
    'math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "TeX Gyre DejaVu Math", "DejaVu Math TeX Gyre", '
    "math, serif; }\n",
)
