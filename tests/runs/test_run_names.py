"""What the directory of a run is called, and what it is found by."""

import shutil
from pathlib import Path

import pytest

from difflab.checkpoints.run_weights import run_weights
from difflab.config.arguments import known_to_loggers
from difflab.config.resolve import resolve_row
from difflab.runs import RunDirectory, info
from difflab.runs.listing import SeveralRunsError, attempt_directory, found_run, identity_of, run_id
from running import SHORT, sample_from, train_small


def made(*folders: Path) -> Path:
    """Runs, as far as their names go."""
    for folder in folders:
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").touch()
    return folders[0]


def test_a_new_run_says_its_seed_and_later_attempts_follow_it(tmp_path, monkeypatch):
    first = attempt_directory(tmp_path, "0123456789", 7, restart=False)
    assert first == tmp_path / "seed7-0123456789"
    first.mkdir()
    assert attempt_directory(tmp_path, "0123456789", 7, restart=False) == first
    second = attempt_directory(tmp_path, "0123456789", 7, restart=True)
    assert second == tmp_path / "seed7-0123456789-2"
    second.mkdir()
    assert attempt_directory(tmp_path, "0123456789", 7, restart=False) == second
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert attempt_directory(tmp_path, "0123456789", 7, restart=True) == second


@pytest.mark.parametrize("name", ["0123456789", "abcdef0123", "seed0-0123456789", "seed12-abcdef0123"])
@pytest.mark.parametrize("attempt", ["", "-2", "-11"])
def test_the_name_gives_the_identity_back(name, attempt):
    identity = name.rpartition("-")[2]
    assert identity_of(Path(name + attempt)) == identity
    assert run_id(Path(name + attempt)) == identity + attempt


@pytest.mark.parametrize("old", ["abcdef0123", "abcdef0123-3"])
def test_a_run_of_an_earlier_version_keeps_its_name(tmp_path, old):
    (tmp_path / old).mkdir()
    assert attempt_directory(tmp_path, "abcdef0123", 0, restart=False).name == old
    following = attempt_directory(tmp_path, "abcdef0123", 0, restart=True).name
    assert following == f"seed0-abcdef0123-{int(old.partition('-')[2] or 1) + 1}"


def test_a_run_with_the_name_of_an_earlier_version_goes_on_and_is_drawn_from(tmp_path):
    run = train_small(tmp_path, *SHORT, "trainer.max_steps=2", "eval.every=2").run
    assert run.path.name == f"seed0-{identity_of(run.path)}"
    config = resolve_row(["+experiment=cosine_adagn"]).config
    known = known_to_loggers(config, run)
    old = run.path.with_name(identity_of(run.path))
    shutil.move(run.path, old)
    assert known_to_loggers(config, RunDirectory(old)) | {"run": None} == known | {"run": None}
    again = train_small(tmp_path, *SHORT, "trainer.max_steps=2", "eval.every=2")
    assert again.run.path == old
    assert again.printed[0].startswith("already complete")
    images = tmp_path / "images"
    sample_from(tmp_path / "cosine_adagn", images, "num_samples=4", "batch_size=4", "steps=2")
    assert (images / "grid.png").exists()
    assert run_weights(str(old.parent / old.name[:4]), None, None).file.parent.parent == old
    assert info(found_run(tmp_path))["path"] == str(old)


def test_a_run_is_found_by_what_is_unique(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = made(
        Path("runs/cosine_adagn/seed0-abcdef0123"),
        Path("runs/linear_adagn/abcd999999"),
        Path("runs/study/row/seed1-ffff012345"),
        Path("runs/study/row/seed1-ffff012345-2"),
    )
    assert found_run("runs/cosine_adagn") == one
    assert found_run("runs/cosine_adagn/seed0") == one
    assert found_run("runs/cosine_adagn/abc") == one
    assert found_run("abcde") == one
    assert found_run("abcd9") == Path("runs/linear_adagn/abcd999999")
    assert found_run("runs/study/row/seed1-ffff012345").name == "seed1-ffff012345"
    for several in ("runs", "abcd", "runs/study", "ffff"):
        with pytest.raises(SeveralRunsError, match=rf"^{several} means \d runs: name one of them, runs/"):
            found_run(several)
    for nothing in ("abc", "runs/absent", "9999", "runs/cosine_adagn/seed0-abcdef0123/checkpoints"):
        assert found_run(nothing) == Path(nothing)
