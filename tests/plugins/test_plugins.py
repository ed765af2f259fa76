"""The core is open: ideas that lie outside of the tree train, resume, draw and are measured without an edit of it."""

import contextlib
import io
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import running
from difflab.cli.evaluate import evaluate
from difflab.cli.sample import sample
from difflab.cli.train import train
from difflab.config.paths import add_config_directories, search_words
from difflab.config.resolve import _composition
from difflab.config.trust import trust
from difflab.evaluation.results import Results
from difflab.runs import RunDirectory

HERE = Path(__file__).parent
IDEAS = sorted(path.stem for path in HERE.glob("conf/experiment/*.yaml"))
ALIKE = (
    "batch_norm",
    "codebook",
    "progressive",
    "sdedit",
    "semantic_map",
)
"""Ideas that take the seats of others beside them; they run among the slow tests."""

WORDS = (
    "trainer.accelerator=cpu",
    "trainer.max_steps=4",
    "trainer.log_every_n_steps=2",
    "eval.every=4",
    "eval.num_samples=10",
    "eval.batch_size=10",
    "eval.grid=4",
    "checkpoint.every=2",
    "data.batch_size=8",
    "logger=none",
)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in IDEAS])
def idea(request, tmp_path, monkeypatch):
    """The name of an idea that lies in a folder of its own, with a space in its path."""
    home = tmp_path / "somebody's own"
    (home / "conf" / "experiment").mkdir(parents=True)
    shutil.copy(HERE / f"{request.param}.py", home)
    shutil.copy(HERE / "conf" / "experiment" / f"{request.param}.yaml", home / "conf" / "experiment")
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    add_config_directories([home / "conf"])
    _composition.cache_clear()
    yield request.param
    sys.modules.pop(request.param, None)
    add_config_directories([])
    trust([])
    _composition.cache_clear()


def words(idea: str, command: str) -> list[str]:
    """What the experiment's comments say for a command."""
    text = (HERE / "conf" / "experiment" / f"{idea}.yaml").read_text(encoding="utf-8")
    return [word for line in re.findall(rf"^# {command}: (.+)$", text, re.MULTILINE) for word in shlex.split(line)]


def draws(idea: str) -> bool:
    return "# draws nothing" not in (HERE / "conf" / "experiment" / f"{idea}.yaml").read_text(encoding="utf-8")


def trained(root: Path, idea: str, first: str = "") -> RunDirectory:
    """`python train.py +experiment=IDEA`, as far as it gets.

    Args:
        root: Of the run.
        idea: Its name.
        first: The run that its words call FIRST.
    """
    own = [word.replace("FIRST", first) for word in words(idea, "train")]
    given = (f"+experiment={idea}", *WORDS, *own, *search_words(), f"trust={idea}", f"run.root={root}")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(running.PowerCut):
        train(running.composed("train", *given))
    (config,) = root.glob("*/*/config.yaml")
    return RunDirectory(config.parent)


def trained_first(root: Path, idea: str) -> str:
    """The run from which an idea starts, or by which it is taught; "" where there is none."""
    if not (given := words(idea, "first")):
        return ""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train(running.composed("train", *WORDS, *given, f"run.root={root}"))
    return printed.getvalue().splitlines()[-1]


def resumed(root: Path, idea: str, first: str, monkeypatch) -> RunDirectory:
    """The same in two goes, with a power cut in the third step."""
    from difflab.training import TrainedModule

    whole = TrainedModule.training_step

    def cut(self, batch, batch_idx):
        if self.trainer.global_step == 2:
            raise running.PowerCut
        return whole(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainedModule, "training_step", cut)
        trained(root, idea, first)
    return trained(root, idea, first)


def test_an_idea_needs_no_edit(idea, tmp_path, monkeypatch):
    first = trained_first(tmp_path / "first", idea)
    run = trained(tmp_path / "runs", idea, first)
    state = running.saved_state(run)
    assert state["global_step"] == 4
    again = running.saved_state(resumed(tmp_path / "cut", idea, first, monkeypatch))
    assert not running.differences(state["state_dict"], again["state_dict"])
    assert not running.differences(state["optimizer_states"], again["optimizer_states"])
    if not draws(idea):
        return
    out = tmp_path / "drawn"
    common = ("accelerator=cpu", "num_samples=4", "batch_size=4", *search_words(), f"trust={idea}")
    given = (f"checkpoint={run.path}", f"out={out}", *common, *words(idea, "sample"))
    with contextlib.redirect_stdout(io.StringIO()):
        sample(running.composed("sample", *given))
    assert next(out.glob("samples_*.npz")).stat().st_size
    assert (out / "grid.png").stat().st_size
    given = (f"checkpoint={run.path}", f"out={tmp_path / 'measured'}", *common, *words(idea, "evaluate"))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(running.composed("evaluate", *given))
    (results,) = (tmp_path / "measured").rglob("results.json")
    assert Results.from_json(results.read_text(encoding="utf-8")).measurements
