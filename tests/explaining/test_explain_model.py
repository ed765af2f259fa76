"""`difflab explain checkpoint=RUN`: a page and pictures, the same again for the same command, and one line where there is nothing."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from difflab.cli.explain import explain_model
from running import composed, train_small

pytestmark = [pytest.mark.slow, pytest.mark.long]


def explained(run: Path, out: Path, *words: str) -> list[str]:
    """What the command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        explain_model(
            composed("explain_model", f"checkpoint={run}", f"out={out}", "num_samples=40", "accelerator=cpu", *words)
        )
    return printed.getvalue().splitlines()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train_small(tmp_path_factory.mktemp("my runs")).run.path


def test_the_page_has_every_look_and_comes_again_with_equal_pictures(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "what is inside"
    printed = explained(run, out)
    pictures = {path.name: path.read_bytes() for path in out.glob("*.png")}
    names = [
        "attention",
        "interpolation",
        "memorisation_distances",
        "memorisation_pairs",
        "round_trip",
        "shared_prefix",
    ]
    assert sorted(pictures) == [f"{name}.png" for name in names]
    assert next(line for line in printed if line.startswith(str(out))) == str(out / "explain.html")
    assert "Score field and walks is left out: it is not a model of points of the plane" in printed
    page = (out / "explain.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(pictures)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert str(tmp_path) not in page
    assert str(run) not in page
    (out / "field.png").write_bytes(b"of another model")
    explained(run, out)
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == pictures


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["checkpoint=runs/nowhere"], "runs/nowhere"),
        (["checkpoint=[a,b]"], "explain looks into one model: give checkpoint=RUN"),
        (["steps=0"], "steps=0"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(run, tmp_path, capsys, words, said):
    with pytest.raises(SystemExit):
        explained(run, tmp_path / "out", *words)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
