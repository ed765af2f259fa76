"""Arrays of SLURM: their scripts without a cluster."""

import json
import subprocess
from dataclasses import replace

import pytest
from planned import complete, folder_of, forked, plan

from difflab.cluster import SlurmJob, SubmissionError
from difflab.studies.execution import LaunchError, SlurmArray, ask, launch, states
from difflab.studies.execution.queue import read_submissions
from difflab.studies.execution.tasks import freeze, pending_as_shell


def job(folder, nodes=1, processes=1, dry_run=True, profile="default", doctor=False, time="10", margin=60):
    return SlurmJob(nodes, 0, processes, 1, None, time, margin, profile, None, str(folder), [], doctor, dry_run)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of SLURM that say what they were given, and answer what the files beside them hold."""
    tools = tmp_path / "tools"
    tools.mkdir()
    bodies = {
        "sbatch": 'n=$(($(cat "$0.n" 2>/dev/null || echo 10) + 1)); echo $n > "$0.n"; cat "$2" > "$0.$n"; echo $n',
        "srun": "exit 1",
        "squeue": 'cat "$0.says" 2>/dev/null; [ ! -e "$0.fails" ] || { cat "$0.fails" >&2; exit 1; }',
        "scontrol": 'echo "MaxArraySize            = $(cat "$0.size" 2>/dev/null || echo 1001)"',
        "scancel": 'echo "$@" > "$0.given"',
    }
    for name, body in bodies.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return tools


def test_what_would_be_submitted(tmp_path, capsys):
    study = plan(tmp_path, {"a": ["network.width=16"], "b": []}, seeds=(0, 1), shared=("c",))
    complete(study.trainings[3].directory)
    array = SlurmArray(job(tmp_path, nodes=2, processes=4), job(tmp_path, processes=2, time="30"), limit=2)
    found = launch(study, array)
    scripts = capsys.readouterr().out.split("#!/bin/bash")[1:]
    assert (len(scripts), found.said, len(found.submitted)) == (3, [], 4)
    train, evaluate, alone = scripts
    assert "#SBATCH --array=0-2%2\n" in train
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=4" in train
    assert "#SBATCH --requeue" in train
    assert "aftercorr" not in train
    assert "#SBATCH --array=0-2%2\n" in evaluate
    assert "#SBATCH --dependency='aftercorr:<job>'\n" in evaluate
    assert "#SBATCH --kill-on-invalid-dep=yes\n" in evaluate
    assert "#SBATCH --nodes=1\n#SBATCH --ntasks-per-node=2" in evaluate
    assert "#SBATCH --time=30" in evaluate
    assert "#SBATCH --array=0-0%1\n" in alone
    assert f"0) key={study.trainings[3].identity} ;;" in alone
    assert "aftercorr" not in alone
    assert not folder_of(study).jobs.exists()


def test_an_evaluation_has_the_index_of_its_training(tmp_path, slurm):
    """The dependency of the second array is index by index."""
    study = plan(tmp_path, {"a": [], "b": [], "c": []})
    only = replace(study, cells=study.cells[1:])  # nothing is evaluated of the first one
    launch(only, SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False)))
    tasks = freeze(only, {})
    folder = folder_of(only)
    SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False)).submit(folder.root, list(tasks.values()), [])
    train, evaluate = read_submissions(folder)[-2:]
    assert set(train.tasks.values()) == {"a0", "b0", "c0"}
    assert evaluate.tasks == {index: key for index, key in train.tasks.items() if key != "a0"}


def test_what_goes_on_from_a_training_waits_for_its_job(tmp_path, slurm):
    study = forked(plan(tmp_path, {"a": [], "b": []}))
    array = SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False))
    said = launch(study, array).said
    assert said[0] == "submitted job 11: 1 trainings from which others go on"
    trunk, train, evaluate = read_submissions(folder_of(study))
    assert (list(trunk.tasks.values()), sorted(train.tasks.values())) == (["trunk0"], ["a0", "b0"])
    assert "dependency" not in (slurm / "sbatch.11").read_text(encoding="utf-8")
    assert "--dependency=afterok:11\n" in (slurm / "sbatch.12").read_text(encoding="utf-8").replace("'", "")
    assert "--dependency=aftercorr:12\n" in (slurm / "sbatch.13").read_text(encoding="utf-8").replace("'", "")
    assert evaluate.job == "13"
    complete(study.trunks[0].directory)
    wider = forked(plan(tmp_path, {"a": [], "b": [], "c": []}))
    array.submit(study.root.resolve(), list(freeze(wider, {}).values())[-1:], [])
    assert "dependency" not in (slurm / "sbatch.14").read_text(encoding="utf-8"), "the trunk is there"


def test_a_task_of_the_array_is_the_command_of_its_training(tmp_path, slurm):
    """The script run as SLURM runs it, with srun in place of the cluster."""
    (slurm / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    (slurm / "srun").chmod(0o755)
    study = plan(tmp_path, {"a": [], "b": ["quoted='two words'"]})
    launch(study, SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False)))
    script = (slurm / "sbatch.11").read_text(encoding="utf-8")
    script = script.replace("finish() {", "finish() { exit 0")
    allocation = {
        "SLURM_ARRAY_JOB_ID": "11",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_JOB_ID": "12",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_JOB_NODELIST": "n1",
    }
    subprocess.run(["bash", "-c", script], env={"PATH": f"{slurm}:/usr/bin:/bin", **allocation}, check=True)
    first, *words = folder_of(study).log("b", 0).read_text(encoding="utf-8").splitlines()
    assert first.startswith("--- start 0 of job 11_1 on n1")
    after = words[words.index("train") + 1 :]
    assert after[: len(study.trainings[1].overrides)] == list(study.trainings[1].overrides)
    assert after[-3:] == ["launcher=local", "trainer.num_nodes=1", "trainer.devices=1"]


def test_what_is_queued_is_not_submitted_again(tmp_path, slurm):
    array = SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False))
    study = plan(tmp_path, {"a": [], "b": []})
    first = launch(study, array)
    assert first.said[0] == "submitted job 11: 2 trainings"
    assert [(s.job, s.kind, s.tasks) for s in read_submissions(folder_of(study))] == [
        ("11", "train", {"0": "a0", "1": "b0"}),
        ("12", "evaluate", {"0": "a0", "1": "b0"}),
    ]
    (slurm / "squeue.says").write_text(
        "11|0|RUNNING|None|n3\n11|1|PENDING|Priority|\n12|0|PENDING|Dependency|\n12|1|PENDING|Dependency|\n",
        encoding="utf-8",
    )
    wider = plan(tmp_path, {"a": [], "b": [], "c": []})
    second = launch(wider, array)
    assert [(one.row, one.why) for one in second.skipped] == [
        ("a", "in the queue: job 11_0 on n3"),
        ("b", "in the queue: job 11_1 (Priority)"),
    ]
    script = (slurm / "sbatch.13").read_text(encoding="utf-8")
    assert "--array=0-0%1\n" in script
    assert "run.name=study/c" in script
    assert "run.name=study/a" not in script
    complete(study.trainings[0].directory)
    found = states(study, ask(study.root))
    assert [(cell.state, cell.where) for cell in found] == [
        ("queued", "job 12_0 (Dependency)"),
        ("queued", "job 11_1 (Priority)"),
    ]
    assert array.cancel(folder_of(study).root) == ["cancelled job 11, 12: 4 tasks; those that run save first"]
    assert (slurm / "scancel.given").read_text(encoding="utf-8").split() == ["11", "12"]
    (slurm / "squeue.says").unlink()
    (slurm / "squeue.fails").write_text("slurm_load_jobs error: Invalid job id specified\n", encoding="utf-8")
    assert [cell.state for cell in states(study, ask(study.root))] == ["trained", "missing"]


def test_nothing_is_submitted_where_nobody_knows_the_queue(tmp_path, slurm):
    array = SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False))
    study = plan(tmp_path, {"a": []})
    launch(study, array)
    (slurm / "squeue.fails").write_text("Unable to contact slurm controller\n", encoding="utf-8")
    (left,) = launch(study, array).skipped
    assert left.why == "in the queue: job 11_0 (squeue does not answer here)"


def test_numbers_beyond_the_largest_array_are_another_array(tmp_path, slurm):
    (slurm / "scontrol.size").write_text("4", encoding="utf-8")
    study = plan(tmp_path, {f"r{i}": [] for i in range(6)})
    launch(study, SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False)))
    kinds = [(s.kind, s.tasks) for s in read_submissions(folder_of(study))]
    assert kinds[2:] == [("train", {"0": "r40", "1": "r50"}), ("evaluate", {"0": "r40", "1": "r50"})]
    assert "0) log=" in (slurm / "sbatch.13").read_text(encoding="utf-8")
    assert "aftercorr:13" in (slurm / "sbatch.14").read_text(encoding="utf-8")


def test_pending_evaluations_as_lines_of_shell(tmp_path):
    study = plan(tmp_path, {"a": [], "b": []}, shared=("c",), evaluation=("metric=[frechet]",))
    freeze(study, {})
    with pytest.raises(SystemExit, match="not complete"):
        pending_as_shell(study.root, "a0")
    complete(study.trainings[0].directory, "evaluations/e0")
    (line,) = pending_as_shell(study.root, "a0")
    run = study.trainings[0].directory
    words = subprocess.run(
        ["bash", "-c", f'evaluate() {{ printf "%s\\n" "$@"; }}; {line}'], capture_output=True, encoding="utf-8"
    )
    assert words.stdout.splitlines() == [
        "a0.e1",
        str(folder_of(study).log("c", 0)),
        "metric=[frechet]",
        "first_seed=1000",
        f"checkpoint={run}",
        f"out={run}/evaluations/e1",
    ]
    assert pending_as_shell(study.root, "gone") == []


def test_evaluations_stage_nothing_and_examine_nothing(tmp_path, capsys):
    profile = tmp_path / "p.yaml"
    profile.write_text(
        json.dumps({"scratch": "/its-scratch", "stage_in": {"data.dataset.root": "/its-data"}, "partition": "gpu"}),
        encoding="utf-8",
    )
    one = job(tmp_path, profile=str(profile), doctor=True)
    launch(plan(tmp_path, {"a": []}), SlurmArray(one, one))
    train, evaluate = capsys.readouterr().out.split("#!/bin/bash")[1:]
    for word in ("-m difflab doctor", "/its-scratch", "/its-data"):  # no word that a clone's path may hold
        assert word in train
        assert word not in evaluate
    assert "--partition=gpu" in evaluate


def test_a_study_on_a_machine_without_slurm(tmp_path, monkeypatch, slurm):
    study = plan(tmp_path, {"a": []})
    array = SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False))
    assert array.cancel(study.root) == []
    launch(study, array)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LaunchError, match="login node"):
        array.cancel(study.root)
    with pytest.raises(ValueError, match="limit=-1"):
        SlurmArray(job(tmp_path), job(tmp_path), -1)


def test_what_sbatch_refuses_is_one_line_and_leaves_nothing(tmp_path, slurm):
    (slurm / "sbatch").write_text(
        "#!/bin/bash\necho 'sbatch: error: invalid partition: gqu' >&2; exit 1\n", encoding="utf-8"
    )
    (slurm / "sinfo").write_text("#!/bin/bash\necho gpu\n", encoding="utf-8")
    (slurm / "sinfo").chmod(0o755)
    study = plan(tmp_path, {"a": []})
    with pytest.raises(SubmissionError) as refused:
        launch(study, SlurmArray(job(tmp_path, dry_run=False), job(tmp_path, dry_run=False)))
    assert str(refused.value).startswith("sbatch refuses the job array: sbatch: error: invalid partition: gqu; ")
    assert "\n" not in str(refused.value)
    assert read_submissions(folder_of(study)) == []
    assert [path.name for path in folder_of(study).slurm.iterdir()] == []
    assert [cell.state for cell in states(study, ask(study.root))] == ["missing"]


def test_a_training_in_other_hands_is_left_to_them(tmp_path, slurm):
    from filelock import FileLock

    study = plan(tmp_path, {"a": [], "b": []})
    run = study.trainings[0].directory
    run.mkdir(parents=True)
    with FileLock(run / "lock"):
        found = launch(study, SlurmArray(job(tmp_path), job(tmp_path)))
    assert [one.row for one in found.submitted] == ["b"]
    assert "somebody works on it" in found.skipped[0].why


def test_overrides_of_a_retry_are_kept(tmp_path):
    study = plan(tmp_path, {"a": []})
    freeze(study, {"a0": ["divergence=skip_step"]})
    task = freeze(study, {})["a0"]
    assert task.arguments[-1] == "divergence=skip_step", "given once, kept"
    longer = replace(study, trainings=(replace(study.trainings[0], overrides=("x=1",)),))
    assert freeze(longer, {})["a0"].arguments == ("x=1", "divergence=skip_step")
