"""Scripts and profiles, without a cluster."""

import json
import shlex
import subprocess

import pytest
import yaml
from hydra.utils import instantiate

from difflab.cluster.job import SlurmJob, seconds
from difflab.cluster.launcher import SubmissionError
from difflab.cluster.slurm import Profile, load_profile, slurm_directory
from running import SMALL, composed, train_small


def dry_run(capsys, tmp_path, *overrides: str) -> str:
    """The script that would be submitted."""
    from difflab.cli.train import train
    from running import composed

    train(composed("train", *SMALL, f"run.root={tmp_path}", "launcher=slurm", "launcher.dry_run=true", *overrides))
    return capsys.readouterr().out


def refused(capsys, *overrides: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        train_small("nowhere", "launcher=slurm", "launcher.dry_run=true", *overrides)  # type: ignore[arg-type]
    assert exit_.value.code == 2
    return capsys.readouterr().err


def arguments_of(script: str, tmp_path) -> list[str]:
    """What srun is given, by running the script with srun replaced."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name, body in {
        "srun": 'printf "%s\\n" "$@"; echo "ends at $SLURM_JOB_END_TIME"',
        "squeue": "echo 2030-01-01T00:00:00",
        "module": "echo module $*",
    }.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    allocation = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_JOB_NODELIST": "n[1-2]",
    }
    done = subprocess.run(
        ["bash", "-c", script.replace("finish() {", "finish() { exit 0")],
        env={"PATH": f"{tools}:/usr/bin:/bin", "TZ": "UTC", **allocation},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    *words, end = done.stdout.splitlines()
    assert end == "ends at 1893456000"
    return [word for word in words if not word.startswith("ends at")]


def test_the_job_runs_the_same_command_on_its_nodes(capsys, tmp_path):
    script = dry_run(
        capsys, tmp_path, "launcher.nodes=2", "launcher.processes_per_node=4", "network.dropout=0.1", "run.margin=77"
    )
    assert "#SBATCH --nodes=2" in script
    assert "#SBATCH --ntasks-per-node=4" in script
    assert "#SBATCH --signal=USR1@77" in script
    assert script.index("#SBATCH --nodes=1\n") < script.index("#SBATCH --nodes=2\n")  # the last one counts
    words = arguments_of(script, tmp_path)
    assert "--kill-on-bad-exit=1" in words
    after = words[words.index("train") + 1 :]
    assert set(SMALL) <= set(after)
    assert "network.dropout=0.1" in after
    assert not [word for word in after if word.startswith("launcher.")]
    assert after[-3:] == ["launcher=local", "trainer.num_nodes=2", "trainer.devices=4"]


def test_a_job_can_examine_its_nodes_first(capsys, tmp_path):
    words = arguments_of(dry_run(capsys, tmp_path, "launcher.doctor=true", "seed=3"), tmp_path)
    examined, trained = words.index("doctor"), words.index("train")
    assert examined < trained
    assert words.count("seed=3") == 2
    assert words[examined + 1 : trained - 4][-1] == words[-1]  # the same processes
    assert "doctor" not in arguments_of(dry_run(capsys, tmp_path), tmp_path)


def test_options_come_before_the_first_command(capsys, tmp_path):
    """SLURM stops reading them there."""
    lines = dry_run(capsys, tmp_path, "launcher.gpus_per_node=8", 'launcher.options=["--mail-type=END"]').splitlines()
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert max(options) < first_command
    assert "#SBATCH --gpus-per-node=8" in lines
    assert "#SBATCH --ntasks-per-node=8" in lines
    assert "#SBATCH --mail-type=END" in lines


def test_a_profile_is_in_the_script(capsys, tmp_path):
    content = {
        "partition": "gpu",
        "modules": ["cuda/12.4"],
        "environment": {"WORDS": "two words"},
        "network_interface": "ib0",
        "container": "env BOX=1",
        "srun": ["--export=ALL"],
        "scratch": str(tmp_path / "$SLURM_JOB_ID"),
        "stage_in": {"data.num_workers": "/etc/hostname"},
        "setup": ['echo "$GLOO_SOCKET_IFNAME $WORDS"'],
        "sbatch": ["--exclusive"],
    }
    profile = tmp_path / "mine.yaml"
    profile.write_text(yaml.safe_dump(content), encoding="utf-8")
    script = dry_run(capsys, tmp_path, f"launcher.profile={profile}")
    assert "#SBATCH --partition=gpu\n" in script
    assert "#SBATCH --exclusive\n" in script
    words = arguments_of(script, tmp_path)
    assert "module cuda/12.4" in " ".join(words).replace("module load", "module")
    assert "ib0 two words" in words
    assert words[-1] == f"data.num_workers={tmp_path}/7/hostname"
    srun = words[len(words) - 1 - words[::-1].index("--kill-on-bad-exit=1") :]
    assert srun[1:4] == ["--export=ALL", "env", "BOX=1"]
    assert "--ntasks=2" in words  # the copy, once per node


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("launcher.profile=exampel", "did you mean 'example'?"),
        ("launcher.nodes=0", "launcher.nodes=0"),
        ("launcher.time=soon", "12:00:00"),
        ("launcher.time=2", "run.margin=120"),
        ("launcher.job_name=bash", "interactive"),
        ("+launcher.gpus=8", "gpus_per_node"),
        ("launcher.nodes=3", "32"),  # a batch of 32 images
        ("schedule.stepz=3", "steps"),
    ],
)
def test_mistakes_are_told_before_submission(capsys, override, hint):
    if override.startswith("schedule"):
        override = f"+{override}"
    said = refused(capsys, override)
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("partitoin: gpu", "did you mean 'partition'?"),
        ("modules: cuda", "a list"),
        ("stage_in: {a: b}", "scratch"),
        ("- a", "key: value"),
    ],
)
def test_mistakes_in_a_profile_name_the_file(tmp_path, text, hint):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.yaml") as error:
        load_profile(str(path))
    assert hint in str(error.value)


def test_every_profile_of_the_house_is_one():
    files = sorted((slurm_directory() / "profiles").glob("*.yaml"))
    assert files
    for path in files:
        assert isinstance(load_profile(path.stem), Profile)


def test_without_slurm_submission_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        train_small(tmp_path, "launcher=slurm")
    assert exit_.value.code == 2
    assert "no sbatch" in capsys.readouterr().err


def test_what_sbatch_says_is_passed_on_with_the_near_partition(tmp_path, monkeypatch, capsys):
    for name, body in {
        "sbatch": "echo 'sbatch: error: invalid partition specified: gpux' >&2; exit 1",
        "sinfo": "echo gpu; echo cpu",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    profile = tmp_path / "mine.yaml"
    profile.write_text("partition: gpux\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        train_small(tmp_path, "launcher=slurm", f"launcher.profile={profile}")
    said = capsys.readouterr().err
    assert "invalid partition specified" in said
    assert "did you mean 'gpu'?" in said


def test_each_gpu_has_one_process(tmp_path):
    with pytest.raises(ValueError, match="each GPU has one process"):
        SlurmJob(1, 8, 4, 1, None, "1:00:00", 60, "default", None, str(tmp_path), [], False, False)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("5", 300), ("5:30", 330), ("1:00:05", 3605), ("2-1", 176400), ("2-1:30", 178200), ("1-0:0:1", 86401)],
)
def test_time_limits_are_read_as_slurm_reads_them(limit, expected):
    assert seconds(limit) == expected


def test_a_path_with_a_space_is_one_word_of_the_line(capsys, tmp_path):
    """sbatch (22.05) splits #SBATCH lines as a shell does, and refuses a job whose path falls into two words."""
    root = tmp_path / "my clone ü"
    script = dry_run(capsys, tmp_path, f'run.root="{root}"', "launcher.job_name=two words")
    lines = [shlex.split(line)[1:] for line in script.splitlines() if line.startswith("#SBATCH")]
    assert [f"--output={root}/slurm/%j.log"] in lines
    assert ["--job-name=two words"] in lines
    assert all(len(words) == 1 for words in lines)
    assert "launcher=local" in arguments_of(script, tmp_path)


@pytest.mark.parametrize("override", ["run.name", "launcher.job_name", "launcher.folder", "launcher.memory_per_node"])
def test_a_line_break_makes_no_line_of_the_script(capsys, tmp_path, override):
    said = refused(capsys, f'{override}="a\ntouch {tmp_path}/ran #"', f"run.root={tmp_path}")
    assert len(said.strip().splitlines()) == 1
    assert "line break" in said or override in said


def script_of(launcher: SlurmJob, words: list[str], name: str = "x") -> str:
    executor = launcher.executor(launcher.folder, name)
    executor.settings = [f"set -- {shlex.join(words)}"]
    return executor.script()


def test_words_of_a_command_are_words_to_the_shell(tmp_path):
    launcher = instantiate(
        composed("train", *SMALL, f"run.root={tmp_path}", "launcher=slurm").launcher, _convert_="all"
    )
    ran = tmp_path / "ran"
    words = [
        f"run.name=$(touch {ran})",
        f"a=`touch {ran}`",
        f"b='; touch {ran}; '",
        f'c="\n# <setup>\ntouch {ran}\n#SBATCH --wrap=x"',
        f"d=\\'; touch {ran} #",
    ]
    with pytest.raises(ValueError, match="the line '# <setup>'"):
        script_of(launcher, words[3:4])
    for hostile in (words[:3], [words[3].replace("# <setup>", "")], words[4:]):
        script = script_of(launcher, hostile)
        assert "\n".join(hostile) in "\n".join(arguments_of(script, tmp_path))
    for name in ("a\ntouch x", "a\x1b[2J", "a\r#"):
        with pytest.raises(SubmissionError, match="line break or control character"):
            script_of(launcher, [], name)
    assert not ran.exists()


@pytest.mark.parametrize(("scontrol", "status", "requeued"), [("exit 1", 75, 0), ('echo "$@" >> "$0.given"', 75, 1)])
def test_a_start_that_was_interrupted_is_requeued_or_says_so(tmp_path, scontrol, status, requeued):
    """The whole script, with commands of SLURM that answer at once; where scontrol refuses the job ends with the status of its run."""
    launcher = instantiate(
        composed("train", *SMALL, f"run.root={tmp_path / 'my runs'}", "launcher=slurm").launcher, _convert_="all"
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    end = {"rank": 0, "host": "n1", "exit_code": 75, "step": 7, "error": "", "nodes": []}
    bodies = {
        "srun": f"echo '{json.dumps(end)}' > \"$DIFFLAB_JOB/attempts/0/0.json\"; exit 75",
        "squeue": "echo 2030-01-01T00:00:00",
        "scontrol": scontrol,
        "sleep": "exit 0",
    }
    for name, body in bodies.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    names = ("SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_NTASKS_PER_NODE")
    done = subprocess.run(
        ["bash", "-c", script_of(launcher, ["seed=1"])],
        env={"PATH": f"{tools}:/usr/bin:/bin", "SLURM_JOB_NODELIST": "n1", **dict.fromkeys(names, "1")},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == status, done.stderr
    assert "--- start 0 of job 1: interrupted before it had made a step: starts again" in done.stderr
    given = tools / "scontrol.given"
    assert (given.read_text(encoding="utf-8").splitlines() if given.exists() else []) == ["requeue 1"] * requeued
