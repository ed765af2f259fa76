"""What the commands say of themselves."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import difflab
from difflab.cli import main as entry
from difflab.cli import sample, train
from difflab.cli.entry import help_text
from difflab.config.options import gathered
from difflab.config.paths import config_directory, listing
from running import composed

ROOT = Path(__file__).parents[2]


def said_by(function, arguments, monkeypatch, capsys) -> str:
    monkeypatch.setattr(sys, "argv", arguments)
    function()
    return capsys.readouterr().out


GROUPS = {
    "train": ("schedule", "objective/time_sampler", "network/norm", "sampler", "ema", "guidance", "data", "logger"),
    "sample": ("sampler", "sampler/grid", "guidance"),
}
VALUES = {"train": "data.batch_size", "sample": "num_samples"}


@pytest.mark.parametrize("command", ["train", "sample"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_has_five_commands_and_all_groups(command, flag, monkeypatch, capsys):
    module = {"train": train, "sample": sample}[command]
    text = said_by(module.main, [f"{command}.py", flag], monkeypatch, capsys)
    assert text.startswith(f"{command}.py: ")
    assert text.count(f"  python {command}.py ") >= 5
    for group in GROUPS[command]:
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [group])
        choices = {path.stem for path in (config_directory() / group).glob("*.yaml")}
        assert set(line.split(maxsplit=1)[1].split(", ")) == choices
    assert VALUES[command] in text


def test_the_commands_of_the_help_compose():
    """Every example's overrides fit the configuration (a sweep's first row)."""
    for name, module in (("train", train), ("sample", sample)):
        for example, what in module.EXAMPLES:
            words = shlex.split(example.replace("<identity>", "0123456789"))
            assert words[0] == name
            overrides = [word if "[" in word else word.split(",")[0] for word in words[1:] if word != "-m"]
            assert what
            if "+experiment=list" not in overrides:
                composed(name, *gathered(overrides))


@pytest.mark.parametrize("override", ["+experiment=list", "experiment=list"])
def test_all_experiments_are_listed_with_a_line(override, monkeypatch, capsys):
    text = said_by(train.main, ["train.py", override], monkeypatch, capsys)
    folder = config_directory() / "experiment"
    names = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    rows = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert rows.keys() == names
    header = (folder / "cosine_adagn.yaml").read_text(encoding="utf-8").splitlines()
    assert header[0] == "# @package _global_"
    assert "# " + rows["cosine_adagn"] == header[1]
    assert len(names) > 30
    assert text.strip() == listing()


def test_outside_of_a_clone_the_help_names_the_installed_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = said_by(train.main, ["difflab", "--help"], monkeypatch, capsys)
    assert text.startswith("difflab train: ")
    assert "  difflab train +experiment=list\n" in text
    assert "python" not in text


@pytest.mark.parametrize("words", [["-m", "difflab"], ["-m", "difflab", "train"], ["train.py"]])
def test_the_version_is_told(words):
    done = subprocess.run([sys.executable, *words, "--version"], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (0, f"difflab {difflab.__version__}\n")


def test_the_installed_command(monkeypatch, capsys):
    for arguments in (["difflab"], ["difflab", "--help"]):
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as exit_:
            entry.chosen()
        assert exit_.value.code == 0
        assert all(f"difflab {command}" in capsys.readouterr().out for command in ["train"])
    monkeypatch.setattr(sys, "argv", ["difflab", "trian"])
    with pytest.raises(SystemExit) as exit_:
        entry.chosen()
    assert exit_.value.code == 2
    text = said_by(entry.chosen, ["difflab", "train", "+experiment=list"], monkeypatch, capsys)
    assert "cosine_adagn" in text


def test_a_wrong_key_is_one_line_from_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "+experiment=cosine_adagn", "network.widht=8"])
    with pytest.raises(SystemExit) as exit_:
        train.main()
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    assert "'width'" in error


def test_groups_of_the_house_are_not_offered():
    text = help_text("train", "trains", [], [], lambda group: True)
    assert not any(line.split()[:1] in (["module"], ["recipe"]) for line in text.splitlines())
