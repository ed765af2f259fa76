"""A command of a page: read as its program reads it, and run on something tiny."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from documented import ROOT, Written
from omegaconf import OmegaConf
from only_read import makefile_has
from stand_ins import Workshop, said

from difflab.cli import main as entry
from difflab.cli import sample as sample_command
from difflab.cli import study as study_command
from difflab.cli import train as train_command
from difflab.config.keys import compose_or_explain, composing
from difflab.config.multirun import FLAGS, _checked
from difflab.config.run import read_words
from difflab.studies.catalogue import find_family


class UnknownCommandError(AssertionError):
    """A page has a command that these tests do not know to read."""


def read(command: Written, shop: Workshop) -> None:
    """Has its program read a command, up to the point where work would begin.

    Raises:
        AssertionError: It is refused, or nobody has considered such a command.
    """
    program, arguments = _taken_apart(command, shop, shop.named)
    READERS[program](arguments)


def perform(command: Written, shop: Workshop) -> str:
    """Runs a command, tiny; returns what it printed.

    Raises:
        AssertionError: It ends with another status than 0.
    """
    program, arguments = _taken_apart(command, shop, shop.filled)
    if program not in PERFORMERS:
        READERS[program](arguments)
        return ""
    return PERFORMERS[program](arguments)


def _taken_apart(command: Written, shop: Workshop, fill: Callable[[str, str], str]) -> tuple[str, list[str]]:
    """The program, and its arguments with stand-ins for placeholders."""
    words = list(command.words)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if words[0] in ("torchrun", "srun", "sbatch"):
        words = _started(words)
    if words[0] in ("python", "python3", ".venv/bin/python"):
        words.pop(0)
        if words[0] == "-m":
            words.pop(0)
            words[0] = words[0] if words[0] == "difflab" else f"-m {words[0]}"
    if words[0] == "difflab" and len(words) > 1 and words[1] in entry.COMMANDS:
        words = [f"{words[1]}.py", *words[2:]]
    program, arguments = words[0], words[1:]
    if program.startswith(("benchmarks/", "scripts/")):
        program, arguments = "-m " + program.removesuffix(".py").replace("/", "."), arguments
    kind = "-m" if program.startswith("-m ") else program
    if kind not in READERS:
        raise UnknownCommandError(f"{command}: teach tests/docs/performing.py to read {program}")
    if kind == "-m":
        arguments = [program.removeprefix("-m "), *arguments]
    filled = [fill(_general(word), command.page) for word in arguments]
    if "data=huggingface" in filled:
        filled.append("data.num_classes=10")  # which are counted from the data, and those are on the hub
    if {one for word in filled for one in _choices(word)} & shop.own_words:
        filled.append(f"hydra.searchpath=[file://{shop.own_choices}]")
    if kind.endswith(".py"):
        for word in filled:
            if re.search(r"<[a-z_ ]+>|(?<![\w.])\.\.\.(?![\w.])", word):
                raise UnknownCommandError(
                    f"{command}: {word} is a placeholder that stands for nothing in tests/docs/stand_ins.py"
                )
    return kind, filled


def _choices(word: str) -> list[str]:
    """ema=[warm_up,uniform] -> ema=warm_up, ema=uniform."""
    group, _, names = word.removeprefix("+").partition("=")
    return [f"{group}={name}" for name in names.strip("[]").split(",")]


def _general(word: str) -> str:
    """A real choice in place of dots and letters."""
    if word.startswith("experiment="):  # the plus may be left out
        return _general(f"+{word}").removeprefix("+")
    word = {
        "+experiment=...": "+experiment=cosine_adagn",
        "+experiment=NAME": "+experiment=cosine_adagn",
        "+callbacks.mine._target_=my_package.MyCallback": "+callbacks.mine._target_=pytorch_lightning.Callback",
        "+logger.mine._target_=my_package.MyLogger": "+logger.mine._target_=pytorch_lightning.loggers.CSVLogger",
        "+experiment=a,b,c": "+experiment=cosine_adagn,linear_adagn,cosine_addgn",
    }.get(word, word)
    if word == "launcher.profile=mine":
        return f"launcher.profile={ROOT}/slurm/profiles/example.yaml"
    return "seed=0" if word == "seed=0,1,2" else word  # each row takes time


def _started(words: list[str]) -> list[str]:
    """What torchrun, srun or sbatch would start; torchrun's own words are read by torch."""
    if words[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        read = get_args_parser().parse_args(words[1:])
        return ["python", *(["-m"] if read.module else []), read.training_script, *read.training_script_args]
    rest = list(words[1:])
    while rest[0].startswith("-"):
        rest.pop(0)
    if words[0] == "sbatch":
        assert (ROOT / rest[0]).is_file(), rest[0]
        return ["python", "train.py", *rest[1:]]
    return rest


@contextlib.contextmanager
def _must_end_well():
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"exit status {end.code}") from None


def _read_by_hydra(name: str, check: Callable[..., object]) -> Callable[[Sequence[str]], None]:
    def read(arguments: Sequence[str]) -> None:
        module = importlib.import_module(f"difflab.cli.{name}")
        with said([f"{name}.py", *arguments]) as out:
            try:
                if any(word.lstrip("+") == "experiment=list" or word in ("-h", "--help") for word in arguments):
                    with _must_end_well():
                        module.main()
                else:
                    sys.argv.insert(1, FLAGS[0])  # rows of a sweep are composed once
                    with _must_end_well():
                        words = read_words(name, sys.argv[1:])
                        _checked(name, [word for word in words if word not in FLAGS], check)
            except AssertionError as error:
                raise AssertionError(f"{error}: {out.getvalue()[-600:]}") from None

    return read


def _read_study(arguments: Sequence[str]) -> None:
    if arguments[0] in ("list", "compare", "--help"):
        return
    words = ["digits_like" if word in ("STUDY", "ablation.yaml", "path/to/study.yaml") else word for word in arguments]
    if len(words) == 1:
        return
    request = study_command.understood(words)
    if request.overrides:
        with composing():
            compose_or_explain("train", ["+experiment=cosine_adagn", *request.overrides])


def _read_data(arguments: Sequence[str]) -> None:
    from difflab.cli.data import _values

    assert arguments[0] in ("pack", "info")
    if arguments[0] == "pack":
        _values(list(arguments[3:]))


def _read_doctor(arguments: Sequence[str]) -> None:
    from difflab.cluster.doctor.run_checks import checks_of

    assert checks_of([word for word in arguments if not word.startswith("--")])


def _read_make(arguments: Sequence[str]) -> None:
    assert makefile_has(arguments[0]), f"the Makefile has no {arguments[0]}"
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in arguments[1:]:
        assert f"$({word.partition('=')[0]})" in text, f"the Makefile has no {word}"


def _read_pip(arguments: Sequence[str]) -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word in arguments:
        for extra in re.findall(r"\[([\w,]+)\]", word):
            assert set(extra.split(",")) <= extras.keys(), f"there is no extra {extra}"


def _read_module(arguments: Sequence[str]) -> None:
    """A module of the tree: it is there, and its source knows the options."""
    module, *words = arguments
    if module == "build":  # of whoever makes a release
        return
    assert importlib.util.find_spec(module) is not None, f"there is no module {module}"
    folder = ROOT / module.split(".")[0] / ("chaos" if "chaos" in module else "")
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    for word in words[: words.index("--")] if "--" in words else words:
        if word.startswith("--"):
            assert f'"{word}"' in source, f"{module} has no {word}"
    if "--" in words:
        _read_by_hydra("train", train_command.check_training)(words[words.index("--") + 1 :])


def _nothing_to_read(arguments: Sequence[str]) -> None:
    assert arguments


def _read_difflab(arguments: Sequence[str]) -> None:
    assert set(arguments) <= {"--version", "--help", "-h"}, f"difflab has no {' '.join(arguments)}"


READERS: dict[str, Callable[[Sequence[str]], None]] = {
    **{f"{name}.py": lambda arguments: None for name in entry.COMMANDS},
    "difflab": _read_difflab,
    "train.py": _read_by_hydra("train", train_command.check_training),
    "sample.py": _read_by_hydra("sample", sample_command.checked),
    "evaluate.py": _read_by_hydra(
        "evaluate", lambda config: importlib.import_module("difflab.cli.evaluate").checked(config)
    ),
    "study.py": _read_study,
    "data.py": _read_data,
    "doctor.py": _read_doctor,
    "make": _read_make,
    "pip": _read_pip,
    "-m": _read_module,
    **dict.fromkeys(("wandb", "export", ".", "slurm/cluster/cluster.py", "sleep"), _nothing_to_read),
}

DIGITS = {"cosine_adagn", "linear_adagn", "cosine_addgn", "linear_addgn", "digits_classifier", "sr/digits_4to8", "mine"}
TINY = {
    "trainer.max_steps": "2",
    "eval.every": "2",
    "eval.num_samples": "16",
    "eval.batch_size": "16",
    "eval.grid": "10",
    "checkpoint.every": "1",
    "network.width": "16",
    "network.unet.width": "16",
    "sampler.grid.steps": "4",
    "data.batch_size": "16",
    "data.micro_batch": "null",
    "data.num_workers": "0",
    "trainer.accelerator": "cpu",
    "trainer.devices": "1",
    "trainer.precision": "32-true",
    "strategy": "auto",
    "logger": "none",
}


def _perform_train(arguments: Sequence[str]) -> str:
    if set(arguments) & {"+experiment=list", "--help"}:
        return run("train", arguments)
    experiments = next(
        (word.partition("=")[2].split(",") for word in arguments if word.lstrip("+").startswith("experiment=")), []
    )
    words = list(arguments)
    if experiments and not set(experiments) <= DIGITS:
        words.append(
            "+shrink=tiny_superres"
            if any("upsampler" in name or name.startswith("sr/") for name in experiments)
            else "+shrink=tiny"
        )
    first = [
        re.sub(r"(=[^\[\]{}'(),]+),[^\[\]{}'()]+$", r"\1", word) for word in words if word not in ("-m", "--multirun")
    ]
    with composing():
        config = compose_or_explain(
            "train", [word for word in first if not re.match(r"hydra/|hydra\.sweeper|.*=interval", word)]
        )
    shrunk = [
        f"{key}={value}"
        for key, value in TINY.items()
        if "." not in key or OmegaConf.select(config, key) is not None or key.endswith("micro_batch")
    ]
    if any("shrink" in word for word in words):
        shrunk = [word for word in shrunk if not word.startswith(("network", "data.batch_size", "sampler"))]
    kept = (
        [word for word in words if not word.startswith(("launcher.nodes", "launcher.gpus"))]
        if not any("launcher=slurm" in word for word in words)
        else words
    )
    if any(re.match(r"logger[.=]|\+logger", word) for word in words):
        shrunk.remove("logger=none")
    if "launcher=slurm" in words:
        shrunk = ["launcher.dry_run=true"]
    kept = [re.sub(r"^(hydra\.sweeper\.n_trials)=.*", r"\1=2", word) for word in kept]
    return run("train", [*kept, *shrunk])


NUMBERS = itertools.count()


def _perform_drawing(name: str) -> Callable[[Sequence[str]], str]:
    def perform(arguments: Sequence[str]) -> str:
        large = ("num_samples=", "batch_size=", "accelerator=", "devices=", "bits_per_dim=")
        words = [word for word in arguments if not word.startswith(large)]
        words = [re.sub(r"^(stage\.\d+\.)?steps=(?:ddim)?\d+$", r"\1steps=4", word) for word in words]
        small = ["accelerator=cpu"]
        if name == "sample" and not any(word.startswith("out=") for word in words):
            small.append(f"out=drawn-{next(NUMBERS)}")  # other settings into one folder are refused
        if not any(word.startswith(("samples=", "compare=")) for word in words):
            small += ["num_samples=20", "batch_size=20"]
        if any(word.startswith("bits_per_dim=") for word in arguments):
            small.append("bits_per_dim=4")
        if name == "evaluate" and not any(word.startswith("compare=") for word in words):
            small += ["replicates=4"]
            small += ["metric.kernel.subset_size=10"] if any("kernel" in word for word in words) else []
        return run(name, [*words, *small])

    return perform


RUN_HERE = {
    "digits_like": ("cosine_adagn", "linear"),
    "digits_guidance": ("none", "auto-1.5", "classifier-2"),
    "claims/schedule": ("cosine", "linear"),
}
"""Study whose runs the tests execute -> the rows that they take of it."""

RESULTS = ("table", "report", "status")
"""What a study says of runs that have been launched."""


def _perform_study(arguments: Sequence[str]) -> str:
    if arguments[0] == "STUDY" or len(arguments) == 1 or arguments[0].endswith(".yaml"):
        _read_study(arguments)
        return ""
    if arguments[0] in ("list", "compare", "--help"):
        return run("study", arguments)
    study, verb, *words = arguments
    if verb == "table" and find_family(study):
        return _run("study", arguments)
    words = [word for word in words if not word.startswith(("trainer.accelerator", "jobs="))]
    if study in RUN_HERE:
        study = _cut_down(study)
        if verb in RESULTS or (verb, words) == ("launch", []):
            words += ["--wait"] if verb == "launch" else []
            if verb in RESULTS:
                run("study", [study, "launch", "--wait"])
    else:
        words += ["trainer.accelerator=cpu", "+shrink=tiny"]
    if "launcher=slurm" in words:
        words.append("launcher.dry_run=true")
    if verb in ("table", "report") and study == arguments[0]:  # its runs take weeks
        with pytest.raises(AssertionError, match="there is no result of"):
            run("study", [study, verb, *words])
        return ""
    return run("study", [study, verb, *words])


def _cut_down(study: str) -> str:
    """A study of the same name with few rows, two seeds and two steps."""
    contents = yaml.safe_load((ROOT / "experiments" / study / "study.yaml").read_text(encoding="utf-8"))
    tiny = ("trainer.max_steps", "eval.every", "eval.num_samples", "checkpoint.every", "network.width")
    contents |= {
        "seeds": [0, 1],
        "rows": {name: contents["rows"][name] for name in RUN_HERE[study]},
        "overrides": [
            *(word for word in contents["overrides"] if not word.startswith(tiny)),
            *(f"{key}={TINY[key]}" for key in (*tiny, "eval.batch_size", "eval.grid", "sampler.grid.steps")),
            *("trainer.accelerator=cpu", "data.batch_size=16", "data.num_workers=0"),
        ],
    }
    drawn = contents["evaluation"]["overrides"]
    contents["evaluation"]["overrides"] = [re.sub(r"^num_samples=.*", "num_samples=40", word) for word in drawn]
    file = Path("studies", study, "study.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(contents), encoding="utf-8")
    return str(file)


def _perform_plainly(name: str) -> Callable[[Sequence[str]], str]:
    return lambda arguments: run(name, arguments)


def _perform_export(arguments: Sequence[str]) -> str:
    """Sets variables as a shell does; of the runs that a pattern finds, the newest: other pages' lie there as well."""
    line = re.sub(r"\$\(ls -d ([^)]+)\)", r"$(ls -td \1 | head -n 1)", " ".join(arguments))
    ended = subprocess.run(
        ["bash", "-c", f"export {line}; env -0"], capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    names = re.findall(r"(\w+)=\$", line)
    given = {name: value for name, _, value in (one.partition("=") for one in ended.stdout.split("\0"))}
    for name in names:
        assert given[name], f"{name} is empty: {ended.stderr}"
        os.environ[name] = given[name]
    return ""


PERFORMERS: dict[str, Callable[[Sequence[str]], str]] = {
    **{f"{name}.py": _perform_plainly(name) for name in entry.COMMANDS},
    "train.py": _perform_train,
    "sample.py": _perform_drawing("sample"),
    "evaluate.py": _perform_drawing("evaluate"),
    "study.py": _perform_study,
    "export": _perform_export,
}


def run(name: str, arguments: Sequence[str]) -> str:
    """Runs a command of difflab in this process; returns what it printed."""
    with said([f"{name}.py", *arguments]) as out:
        try:
            with _must_end_well():
                entry.run(name)
        except AssertionError as error:
            raise AssertionError(f"{name}.py {' '.join(arguments)}: {error}: {out.getvalue()[-800:]}") from None
    return out.getvalue()
