"""What a run's directory says of it."""

import json
import subprocess

import difflab
from difflab.runs import MetricsLog, RunDirectory, provenance


def test_every_start_is_kept(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.begin("a: 0", {"command": "first"}, {"images": 9})
    run.begin("a: 1", {"command": "second"}, {"images": 10})
    assert [start["command"] for start in json.loads(run.provenance.read_text(encoding="utf-8"))] == ["first", "second"]
    assert run.config.read_text(encoding="utf-8") == "a: 1"
    assert json.loads(run.protocol.read_text(encoding="utf-8")) == {"images": 10}
    assert not list(run.path.glob("*.tmp"))


def test_the_last_scores_are_those_of_the_last_evaluation(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.last_scores() == {}
    log = MetricsLog(run.metrics)
    log.log_metrics({"eval/a/fd": 3.0, "train/loss": 1.0}, step=10)
    log.log_metrics({"eval/a/fd": 2.0, "eval/b/fd": 4.0, "train/loss": 0.5}, step=20)
    log.log_metrics({"train/loss": 0.4}, step=25)
    log.save()
    assert run.last_scores() == {"eval/a/fd": 2.0, "eval/b/fd": 4.0}


def test_the_last_grid_is_that_of_the_latest_step(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.last_grid() is None
    run.samples.mkdir()
    for name in ("z_track_00000010", "a_00000020", "b_00000009"):
        (run.samples / f"{name}.png").touch()
    assert run.last_grid() == run.samples / "a_00000020.png"


def test_provenance_is_json_and_names_the_code():
    said = json.loads(json.dumps(provenance()))
    assert said["packages"].keys() >= {"torch", "pytorch-lightning", "wandb"}
    git = said["git"]
    assert git is None or (len(git["commit"]) == 40 and isinstance(git["changed_files"], list))


def test_what_lies_beside_difflabs_code_and_configuration_changes_nothing(tmp_path, monkeypatch):
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    def write(text: str, *names: str) -> None:
        for name in names:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, encoding="utf-8")

    tree = tmp_path / "clone [ü]"
    write("1\n", "src/difflab/__init__.py", "src/difflab/part.py", "conf/train.yaml", "README.md")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "as it was")
    monkeypatch.setattr(difflab, "__file__", str(tree / "src/difflab/__init__.py"))
    write("2\n", "README.md", "my_study.yaml", "runs/a/config.yaml", "src/mine.py", "src/difflab/__pycache__/part.pyc")
    said = provenance()["git"]
    assert (said["changed_files"], said["diff"]) == ([], "")
    write("3\n", "src/difflab/part.py", "src/difflab/new/part.py", "conf/experiment/new.yaml")
    said = provenance()["git"]
    changed = {line.split()[1] for line in said["changed_files"]}
    assert changed == {"src/difflab/part.py", "src/difflab/new/part.py", "conf/experiment/new.yaml"}
    assert "+3" in said["diff"]
    assert "README" not in said["diff"]


def test_a_package_may_be_the_whole_of_its_repository(tmp_path, monkeypatch):
    def git(*words: str) -> None:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, check=True)

    file = tmp_path / "__init__.py"
    file.write_text("1\n", encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "as it was")
    file.write_text("2\n", encoding="utf-8")
    monkeypatch.setattr(difflab, "__file__", str(file))
    said = provenance()["git"]
    assert said["changed_files"] == ["M __init__.py"]
    assert "+2" in said["diff"]
