"""What is published: a package with its license, types and files, and exact versions that agree with each other."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import difflab
from difflab.reading import read_yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = (
    "py.typed",
    "conf/train.yaml",
    "conf/experiment/cosine_adagn.yaml",
    "experiments/digits_like/study.yaml",
    "slurm/train.sbatch",
    "slurm/evaluate.sh",
    "slurm/profiles/default.yaml",
    "studies/report/templates/page.html.jinja",
    "pages/templates/layout.html.jinja",
)
"""Some of each kind that the installed package reads."""


def locked(path: str) -> dict[str, str]:
    """Package -> exact version and marker."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines if line and not line.startswith("#"))


def named(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements} - {"difflab"}


@pytest.mark.parametrize(("lock", "extra"), [("", ""), ("-dev", "dev")])
def test_a_lock_has_what_is_required(lock, extra):
    extras = PROJECT["optional-dependencies"]
    required = named(PROJECT["dependencies"])
    if extra:
        inner = re.search(r"difflab\[([\w,]+)\]", " ".join(extras[extra]))[1].split(",")
        required |= named(extras[extra]) | {name for one in inner for name in named(extras[one])}
    assert required <= locked(f"requirements{lock}.lock").keys()


def test_the_lock_for_use_is_a_part_of_that_for_development():
    """Else `make test` would exchange packages below `make train`.

    It may bring one on more systems, as the site does colorama.
    """
    use, development = (
        {name: pinned.partition(" ;")[0] for name, pinned in locked(path).items()}
        for path in ("requirements.lock", "requirements-dev.lock")
    )
    assert use.items() <= development.items()


def test_what_one_command_needs_is_not_in_the_lock_for_use():
    extras = PROJECT["optional-dependencies"]
    own = {name for extra in extras.values() for name in named(extra)} - named(PROJECT["dependencies"])
    others = {"jinja2"}  # torch requires it
    assert not (own - others) & locked("requirements.lock").keys()


def test_the_locks_say_how_they_were_made_and_name_no_address():
    for path in ("requirements.lock", "requirements-dev.lock", "benchmarks/requirements.lock"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "uv pip compile" in text.splitlines()[1]
        assert "://" not in text


def test_versions_and_licenses_agree():
    citation = read_yaml(ROOT / "CITATION.cff")
    assert citation["version"] == difflab.__version__
    assert citation["license"] == PROJECT["license"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_wheel_and_sdist_carry_what_is_needed(tmp_path):
    """Both are built as a release is, from a copy of the sources."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "build", "twine"], check=True)
    subprocess.run([python, "-m", "build", "--outdir", tmp_path / "dist", ROOT], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    subprocess.run([python, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"difflab/{file}" for file in FILES} <= names
    assert f"difflab-{difflab.__version__}.dist-info/licenses/LICENSE" in names
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "conf/train.yaml", "slurm/train.sbatch", "train.py"} <= inside
