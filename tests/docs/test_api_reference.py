"""The reference names what one types, and `make docs` builds it without a warning."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_object
from scripts import reference

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


@pytest.fixture(scope="module")
def pages():
    """Name of each package or module -> its page."""
    return {module.__name__: reference.page(module) for module in reference.modules()}


def test_every_choice_stands_in_the_table_of_its_package_beside_what_it_makes(pages):
    missing = []
    for path in sorted(CONF.rglob("*.yaml")):
        node = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not str(node.get("_target_")).startswith("difflab."):
            continue
        part = get_object(node["_target_"])
        name = part.__self__.__name__ if hasattr(part, "__self__") else part.__name__
        choice = f"{path.parent.relative_to(CONF).as_posix()}={path.stem}"
        packages = [page for page in pages if f"{part.__module__}.".startswith(f"{page}.")]
        lines = [line for line in pages[max(packages, key=len)].splitlines() if line.startswith(f"| [`{name}`]")]
        missing += [] if lines and f"`{choice}`" in lines[0] else [choice]
    assert not missing


def test_papers_are_those_that_docstrings_cite(pages):
    def row(page, name):
        return next(line for line in pages[page].splitlines() if line.startswith(f"| [`{name}`]"))

    assert "Song et al. 2021, eq. 12 and 16" in row("difflab.samplers", "DDIM")
    assert "Karras et al. 2022, algorithm 2" in row("difflab.samplers", "Heun")
    assert "Ho and Salimans 2022" in row("difflab.guidance", "ClassifierFree")
    assert "Xiv" not in "".join(pages.values())


def test_a_page_has_an_entry_for_each_row(pages):
    for name, page in pages.items():
        rows = re.findall(r"^\| \[`\w+`\]\[([\w.]+)\]", page, re.MULTILINE)
        assert page.startswith(f"# {name}\n")
        assert re.findall(r"^::: (difflab[\w.]+)$", page, re.MULTILINE) == [name, *rows]


@pytest.mark.slow
@pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("mkdocs", "mkdocstrings", "material", "mkdocs_gen_files", "latex2mathml")
    ),
    reason='mkdocs is not installed: pip install "difflab[docs]"',
)
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout + done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert 'id="difflab.samplers.ddim.DDIM"' in pages[tmp_path / "reference" / "difflab.samplers.html"]
    loaded = re.compile(r'(?:src="|<link[^>]*href=")(?:https?:)?//[^"]*')
    assert not {found for page in pages.values() for found in loaded.findall(page)}
