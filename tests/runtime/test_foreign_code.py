"""Code of a user's own: which of it counts, and what a change of it makes of a run, of a study and of an evaluation."""

import base64
import contextlib
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.checkpoints.load import load_model
from difflab.cli.evaluate import evaluate
from difflab.config.keys import ConfigError
from difflab.runs import identity
from difflab.runtime.foreign_code import foreign_code
from running import SHORT, SMALL, composed, train_small, train_until

NETWORK = """
import os

from difflab.networks import UNet

from .scale import FACTOR


class Net(UNet):
    def forward(self, x, time, cond):
        os.environ.get("MY_SWITCH")
        return super().forward(x, time, cond) * FACTOR
"""
SAMPLER = "from difflab.samplers import DDIM\n\n\nclass Walk(DDIM):\n    pass\n"
CALLBACK = """
import pytorch_lightning as pl


class Note(pl.Callback):
    def on_train_end(self, trainer, pl_module):
        print("noted", trainer.global_step)
"""
FILES = {
    "my_work/__init__.py": "",
    "my_work/net.py": NETWORK,
    "my_work/scale.py": "import my_helpers\n\nFACTOR = my_helpers.ONE\n",
    "my_work/unused.py": "X = 1\n",
    "my_work/walk.py": SAMPLER,
    "my_work/note.py": CALLBACK,
    "my_helpers.py": "ONE = 1.0\n",
}
NET = "network._target_=my_work.net.Net"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a package and a module of somebody's own, in which Python looks."""
    folder = tmp_path / "code ü"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    forget()


def forget() -> None:
    """As in a new process."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("my_work", "my_helpers", "from_a_wheel")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def change(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    forget()


def node(*names: str) -> dict:
    return {name: {"_target_": name} for name in names}


def test_of_ones_own_code_what_is_imported_counts_and_the_rest_does_not(place):
    assert sorted(foreign_code(node("my_work.net.Net")).sources) == [
        *("my_helpers", "my_work", "my_work.net", "my_work.scale")
    ]
    nested = {"a": [{"b": {"_target_": "functools.partial", "_args_": [{"_target_": "my_work.walk.Walk"}]}}]}
    assert sorted(foreign_code(nested).sources) == ["my_work", "my_work.walk"]
    function = {"_target_": "hydra.utils.get_method", "path": "my_work.scale.FACTOR"}
    assert "my_helpers" in foreign_code(function).sources
    assert foreign_code(node("my_work.net.Net")).variables() == ["MY_SWITCH"]


def test_what_difflab_comes_with_does_not_count(place):
    known = (
        "torch.optim.AdamW",
        "pytorch_lightning.Trainer",
        "lightning_fabric.Fabric",
        "sklearn.svm.SVC",
        "builtins.dict",
    )
    code = foreign_code(node(*known, "difflab.networks.UNet", "torchmetrics.MeanMetric", "hydra.utils.get_class"))
    assert code.fingerprints() == {}


def test_line_ends_are_no_change_and_a_comment_is_one(place):
    before = foreign_code(node("my_work.walk.Walk")).fingerprints()
    (place / "my_work/walk.py").write_bytes(SAMPLER.replace("\n", "\r\n").encode())
    assert foreign_code(node("my_work.walk.Walk")).fingerprints() == before
    change(place / "my_work/walk.py", f"# mine\n{SAMPLER}")
    assert foreign_code(node("my_work.walk.Walk")).fingerprints() != before


def wheel(folder: Path, version: str) -> Path:
    """A package as a wheel, made by hand: nothing has to be built."""
    info = f"from_a_wheel-{version}.dist-info"
    files = {
        "from_a_wheel.py": f"class Part:\n    version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: from-a-wheel\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for name, text in files.items()
    ]
    path = folder / f"from_a_wheel-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"}.items():
            archive.writestr(name, text)
    return path


def test_an_installed_package_counts_by_its_version(tmp_path, monkeypatch):
    """As an index gives it. One from a file of this machine may change under its version, and counts by its source as well."""
    from difflab.runtime import foreign_code as module

    found = {}
    for version, source in (("1.0", "index"), ("1.1", "index"), ("1.1", "file")):
        folder = tmp_path / f"site {version} {source}"
        folder.mkdir()
        with zipfile.ZipFile(wheel(tmp_path, version)) as archive:
            archive.extractall(folder)  # what pip does with a wheel of pure Python
        if source == "file":
            info = folder / f"from_a_wheel-{version}.dist-info"
            (info / "direct_url.json").write_text('{"url": "file:///a.whl", "archive_info": {}}', encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            forget()
            module._distributions.cache_clear()
            found[version, source] = foreign_code(node("from_a_wheel.Part")).fingerprints()
    module._distributions.cache_clear()
    forget()
    assert found["1.0", "index"] == {"from-a-wheel": "1.0"}
    assert found["1.1", "index"] == {"from-a-wheel": "1.1"}
    assert set(found["1.1", "file"]) == {"from-a-wheel", "from_a_wheel"}


def identity_of(*overrides: str) -> str:
    config = OmegaConf.to_container(composed("train", *SMALL, *overrides), resolve=True)
    return identity(config, "data", "extractor")  # type: ignore[arg-type]


def test_identities_without_such_code_are_what_they_were():
    """Those of the small run and of one with another optimizer, as difflab f58536d gave them."""
    assert identity_of() == "1c5f488857"
    assert identity_of("optimizer=adam") == "c7c6f1afaa"


def test_a_callback_that_looks_on_is_no_other_run_and_any_other_is(place):
    own = identity_of()
    assert identity_of("callbacks=device_stats") == own
    stopping = "callbacks=early_stopping"
    mine = "+callbacks.mine={_target_: my_work.note.Note}"
    assert identity_of(mine.replace("}", ", only_watches: true}")) == own
    assert len({own, identity_of(stopping), identity_of(mine)}) == 3
    before = identity_of(mine)
    change(place / "my_work/note.py", CALLBACK + "\n")
    assert identity_of(mine) != before


def test_ones_logger_is_no_part_of_what_is_trained(place):
    assert identity_of("+logger.mine={_target_: my_work.note.Note}") == identity_of()


def test_changed_code_is_a_new_run_that_says_so(place, tmp_path, monkeypatch):
    root = tmp_path / "runs"
    first = train_until(3, monkeypatch, root, NET, *SHORT)
    (start,) = first.starts()
    package = start["foreign_packages"]["my_work"]
    assert set(package["modules"]) == {"my_work", "my_work.net", "my_work.scale"}
    assert Path(package["folder"]) == (place / "my_work").resolve()
    assert start["foreign_packages"]["my_helpers"]["version"] is None

    change(place / "my_work/unused.py", "X = 2\n")
    again = train_small(root, NET, *SHORT)
    assert again.run.path == first.path
    assert any(line.startswith("resuming from step 2") for line in again.printed)

    change(place / "my_helpers.py", "ONE = 0.5\n")
    other = train_small(root, NET, *SHORT)
    assert other.run.path != first.path
    told = [line for line in other.printed if "has changed since" in line]
    assert told == [
        f"the code of my_helpers has changed since {first.path} (complete) was trained: this is a new run, {other.run.path}"
    ]
    assert "already complete" in train_small(root, NET, *SHORT).printed[0]


def test_a_variable_that_the_code_reads_is_recorded_and_a_change_is_said(place, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SWITCH", "a")
    (start,) = train_small(tmp_path / "runs", NET, *SHORT).run.starts()
    assert start["environment"]["MY_SWITCH"] == "a"
    assert not any("variables" in line for line in train_small(tmp_path / "runs", NET, *SHORT).printed)
    monkeypatch.setenv("MY_SWITCH", "b")
    assert "MY_SWITCH ('a', now 'b')" in train_small(tmp_path / "runs", NET, *SHORT).printed[1]


def test_a_run_of_a_difflab_that_recorded_no_code_is_told_apart(place, tmp_path, monkeypatch):
    run = train_small(tmp_path / "runs", NET, *SHORT).run
    starts = run.starts()
    plain = starts[0].pop("configuration")
    del starts[0]["foreign_packages"]
    run.provenance.write_text(json.dumps(starts), encoding="utf-8")
    run.path.rename(run.path.with_name(plain))  # as that difflab called it
    (told,) = [line for line in train_small(tmp_path / "runs", NET, *SHORT).printed if "this is a new run" in line]
    assert "did not yet record the code of my_helpers, my_work, my_work.net, my_work.scale" in told


def test_the_state_of_the_source_tree_is_kept(place, tmp_path):
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b", *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "as it was")
    change(place / "my_helpers.py", "ONE = 0.25\n")
    change(place / "my_work" / "unused.py", "X = 2\n")
    for name in ("notes.txt", "my_work/new.py", "my_work/__pycache__/new.pyc"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).touch()
    (start,) = train_small(tmp_path / "runs", NET, *SHORT).run.starts()
    work, helpers = (start["foreign_packages"][name]["git"] for name in ("my_work", "my_helpers"))
    assert work["commit"] == helpers["commit"] == git("rev-parse", "HEAD")
    assert work["changed_files"] == ["M my_work/unused.py", "?? my_work/new.py"]
    assert "helpers" not in work["diff"]
    assert helpers["changed_files"] == ["M my_helpers.py"]
    assert "+ONE = 0.25" in helpers["diff"]


def test_weights_that_meet_other_code_than_trained_them_say_so(place, tmp_path, recwarn, monkeypatch):
    run = train_small(tmp_path / "runs", NET, *SHORT).run
    with pytest.raises(ConfigError, match="add trust=my_work to the command"):
        load_model(str(run.path), None, None, None)
    monkeypatch.setenv("DIFFLAB_TRUST", "my_work")
    load_model(str(run.path), None, None, None)
    assert not [warning for warning in recwarn if "code of" in str(warning.message)]
    change(place / "my_helpers.py", "ONE = 0.5\n")
    with pytest.warns(UserWarning, match="the code of my_helpers has changed since these weights were trained"):
        load_model(str(run.path), None, None, None)
    with pytest.warns(UserWarning, match="my_helpers"):
        load_model(str(run.weights / "warm_up.safetensors"), None, None, None)


def test_images_of_other_code_are_drawn_anew(place, tmp_path, monkeypatch):
    """The sampler's code is a field of the protocol; in the same folder nothing that it drew before is taken for its images."""
    monkeypatch.setenv("DIFFLAB_CACHE", str(tmp_path / "cache"))
    run = train_small(tmp_path / "runs", *SHORT).run
    words = [
        *(f"checkpoint={run.path}", "sampler=ddim", "steps=2", "sampler._target_=my_work.walk.Walk", "accelerator=cpu"),
        *("num_samples=16", "batch_size=8", "replicates=0", "metric=[frechet]"),
    ]

    def results() -> set[Path]:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluate(composed("evaluate", *words))
        return set((run.path / "evaluations").glob("*/results.json"))

    first = results()
    assert results() == first
    change(place / "my_work/walk.py", SAMPLER + "\n")
    (new,) = results() - first
    (measured,) = json.loads(new.read_text(encoding="utf-8"))["measurements"]
    assert measured["protocol"]["code.my_work.walk"]


def test_code_of_equal_size_and_time_is_other_code(place):
    file, node = place / "my_work/scale.py", {"_target_": "my_work.net.Net"}
    file.write_text("FACTOR = 1\n", encoding="utf-8")
    before, status = foreign_code(node).fingerprints(), file.stat()
    file.write_text("FACTOR = 2\n", encoding="utf-8")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = foreign_code(node).fingerprints()
    assert [name for name in now if now[name] != before.get(name)] == ["my_work.scale"]
