"""Configurations of strangers: what they name is neither imported nor run, by whatever way they are read."""

import contextlib
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from difflab.checkpoints.load import frozen_classifier, frozen_denoiser, load_model
from difflab.cli.evaluate import evaluate
from difflab.config.keys import ConfigError, compose_or_explain, composing
from difflab.config.trust import packages_of, read_back, trust, trusted
from difflab.runs.export import export_weights
from difflab.sampling import read_set
from difflab.studies import StudyError, load_study
from difflab.studies.planning.planning import plan_study
from running import SMALL, composed, sample_from, train_small

ROOT = Path(__file__).parents[2]
FILE = Path("foreign/config.yaml")


@pytest.fixture(scope="module")
def honest() -> dict[str, Any]:
    """A run's configuration as it is stored."""
    return yaml.safe_load(OmegaConf.to_yaml(composed("train", *SMALL), resolve=True))


@pytest.fixture
def place(tmp_path, monkeypatch) -> Iterator[Path]:
    """The current folder, with what a stranger may have laid beside the weights. Whatever of it runs leaves the file `ran`."""
    touch = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    for name in ("evil_module.py", "evil_package/__init__.py", "evil_package/inner.py", "hubconf.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"import os, subprocess\n{touch}class Net:\n    pass\n", encoding="utf-8")
    (tmp_path / "hubconf.py").write_text(f"def net():\n    {touch}", encoding="utf-8")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(_Touch(tmp_path / "ran")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("DIFFLAB_TRUST", raising=False)
    monkeypatch.setenv("MY_SECRET", "hush")
    yield tmp_path
    trust([])
    for name in [name for name in sys.modules if name.startswith("evil_")]:
        del sys.modules[name]


class _Touch:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def attacks() -> dict[str, Any]:
    """Name -> node. Each of them wants to make the file `ran`, or to be called at all."""
    touch, code = "touch ran", "open('ran', 'w').close()"
    called = {
        "os.system": {"command": touch},
        "posix.system": {"command": touch},
        "os.popen": {"cmd": touch},
        "subprocess.run": {"args": ["touch", "ran"]},
        "subprocess.Popen": {"args": ["touch", "ran"]},
        "builtins.eval": {"_args_": [code]},
        "builtins.exec": {"_args_": [code]},
        "builtins.open": {"file": "ran", "mode": "w"},
        "builtins.getattr": {"_args_": [1, "real"]},
        "pathlib.Path.touch": {"_args_": [{"_target_": "pathlib.Path", "_args_": ["ran"]}]},
        "shutil.rmtree": {"path": "evil_package"},
        "runpy.run_path": {"path_name": "evil_module.py"},
        "importlib.import_module": {"name": "evil_module"},
        "pickle.loads": {"_args_": ["cos\nsystem\n(S'touch ran'\ntR."]},
        "functools.partial": {"_args_": [{"_target_": "hydra.utils.get_method", "path": "os.system"}, touch]},
        "hydra.utils.get_object": {"path": "evil_module.Net"},
        "hydra.utils.get_method": {"path": "evil_module.Net"},
        "hydra.utils.get_class": {"path": "evil_module.Net"},
        "hydra.utils.call": {"config": {"_target_": "evil_module.Net"}},
        "hydra.utils.instantiate": {"config": {"_target_": "evil_module.Net"}},
        "hydra._internal.utils._locate": {"path": "evil_module.Net"},
        "torch.hub.load": {"repo_or_dir": ".", "model": "net", "source": "local"},
        "torch.load": {"f": "evil.pkl", "weights_only": False},
        "torch.jit.load": {"f": "evil.pkl"},
        "torch.serialization.os.system": {"command": touch},
        "torch.distributed.run.main": {"args": ["--no-python", "touch", "ran"]},
        "torch.optim.Optimizer.add_param_group": {},
        "torch.optim.lr_scheduler.warnings.warn": {"message": "x"},
        "torch.nn.init.uniform_": {},
        "torch.nn.functional.relu": {},
        "torch.nn.modules.module.torch.hub.load": {"repo_or_dir": ".", "model": "net", "source": "local"},
        "torch.nn.Module.__init__": {},
        "torch.utils.data.DataLoader": {},
        "numpy.load": {"file": "evil.pkl", "allow_pickle": True},
        "numpy.testing.runstring": {"astr": code, "dict": {}},
        "numpy.f2py.compile": {"source": "x"},
        "joblib.load": {"filename": "evil.pkl"},
        "sympy.sympify": {"a": f"exec({code!r})"},
        "pytorch_lightning.Trainer": {},
        "wandb.init": {},
        "evil_module.Net": {},
        "evil_module": {},
        "evil_package.inner.Net": {},
        "evil_module.os.system": {"command": touch},
        "difflab.__main__.main": {},
        "difflab.cli.train.main": {},
        "difflab.cli.entry.importlib.import_module": {"name": "evil_module"},
        "difflab.runs.directory.write_whole": {"path": "ran", "text": ""},
        "difflab.runs.provenance.subprocess.run": {"args": ["touch", "ran"]},
        "difflab.runs.wandb.mirror.weights_and_biases": {},
        "difflab.launch.slurm.SlurmJob": {},
        "difflab.cluster.SlurmJob": {},
        "difflab.cluster.Local": {},
        "difflab.features.pretrained.fetch": {"name": "inception"},
        "difflab.sampling.formats.Npz": {},
        "difflab.schedules.discrete.__globals__": {},
        "difflab.nowhere.Net": {},
        "os": {},
        "": {},
        "evil_module..Net": {},
        "../evil_module": {},
        "evil module": {},
    }
    nodes = {target: {"_target_": target, **more} for target, more in called.items()}
    return nodes | {
        "a deferred call": {"_target_": "os.system", "_partial_": True, "command": touch},
        "a list of targets": {"_target_": ["os.system", touch]},
        "a target in a target": {"_target_": {"_target_": "evil_module.Net"}},
        "no target": {"_target_": None},
        "a target by reference": {"_target_": "${seed}"},
        "a target from the environment": {"_target_": "${oc.env:EVIL,os.system}", "command": touch},
        "in the arguments": {"_target_": "torch.nn.SiLU", "_args_": [[{"_target_": "evil_module.Net"}]]},
        "in what is not recursed into": {"_recursive_": False, "deep": [{"_target_": "evil_module.Net"}]},
        "a secret": {"note": "${oc.env:MY_SECRET}"},
        "a secret in a text": {"note": ["a", "is ${oc.env:MY_SECRET}!"]},
        "a secret by another resolver": {"note": "${oc.decode:${oc.env:MY_SECRET}}"},
        "a secret as a key": {"${oc.env:MY_SECRET}": 1},
        "a strange conversion": {"_target_": "torch.nn.SiLU", "_convert_": "evil"},
        "a strange deferral": {"_target_": "torch.nn.SiLU", "_partial_": "yes"},
    }


PLACES = {
    "network": lambda config, node: config["module"]["denoiser"]["network"].update(norm=node),
    "sampler": lambda config, node: config.update(sampler=node),
    "guidance": lambda config, node: config["guidance"].update(evil=node),
    "data": lambda config, node: config["data"].update(dataset=node),
    "extractor": lambda config, node: config.update(extractor=node),
    "held_out": lambda config, node: config.update(held_out=node),
    "conditioning": lambda config, node: config.update(conditioning={"low_resolution": {"shrink": node}}),
    "a key of its own": lambda config, node: config.update(mine=[{"deep": [node]}]),
}
"""Where it may lie in a configuration."""


def changed(honest: dict[str, Any], where: str, node: Any) -> str:
    config = json.loads(json.dumps(honest))
    PLACES[where](config, node)
    return yaml.safe_dump(config)


@pytest.mark.parametrize("name", attacks())
def test_what_a_stranger_names_is_refused_before_it_is_imported(name, honest, place):
    text = changed(honest, list(PLACES)[len(name) % len(PLACES)], attacks()[name])
    with pytest.raises(ConfigError) as error:
        read_back(text, FILE)
    message = str(error.value)
    assert message.startswith(str(FILE))
    assert "\n" not in message
    assert "hush" not in message
    assert not (place / "ran").exists()
    assert not [module for module in sys.modules if module.startswith("evil_")]


@pytest.mark.parametrize("where", PLACES)
def test_wherever_it_stands(where, honest, place):
    with pytest.raises(ConfigError, match=r"evil_module\.Net.*add trust=evil_module .* DIFFLAB_TRUST=evil_module"):
        read_back(changed(honest, where, {"_target_": "evil_module.Net"}), FILE)
    assert not (place / "ran").exists()


def test_how_a_run_was_executed_is_passed_over(honest):
    """Its logger, callbacks and launcher are not built again, so nobody has to trust them."""
    text = yaml.safe_dump(
        honest | {"logger": {"mine": {"_target_": "evil_module.Net"}}, "trainer": {"callbacks": [{"_target_": "x.Y"}]}}
    )
    config = read_back(text, FILE)
    assert "logger" not in config
    assert "trainer" not in config
    assert config["run"]["name"] == "cosine_adagn"


@pytest.mark.parametrize(
    "text", ["", "a: [", "[1, 2]", "seed: 0", "!!python/object/apply:os.system ['touch ran']", "a: 1\na: 2"]
)
def test_what_is_no_configuration_says_so(text, place):
    with pytest.raises(ConfigError, match=str(FILE)):
        read_back(text, FILE)
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD",
        "torch.optim.adamw.AdamW",
        "torch.optim.lr_scheduler.StepLR",
        "torch.nn.SiLU",
        "torch.nn.Identity",
    ],
)
def test_classes_of_torch_are_parts(target, honest):
    read = read_back(changed(honest, "network", {"_target_": target}), FILE)
    assert read["module"]["denoiser"]["network"]["norm"]["_target_"] == target


def test_a_word_lets_a_package_in_and_nothing_that_it_merely_imports(honest, place, monkeypatch):
    text = changed(honest, "network", {"_target_": "evil_module.Net"})
    trust("evil_module")
    read_back(text, FILE)
    assert (place / "ran").exists(), "the attack is alive"
    with pytest.raises(ConfigError, match=r"evil_module\.os\.system, which is not defined there but in posix"):
        read_back(changed(honest, "network", {"_target_": "evil_module.os.system"}), FILE)
    with pytest.raises(ConfigError, match=r"evil_package"):
        read_back(changed(honest, "network", {"_target_": "evil_package.inner.Net"}), FILE)
    trust([])
    with pytest.raises(ConfigError):
        read_back(text, FILE)
    monkeypatch.setenv("DIFFLAB_TRUST", "evil_package, evil_module")
    read_back(text, FILE)
    assert trusted() == ["evil_package", "evil_module"]


@pytest.mark.parametrize("word", ["os", "torch", "builtins", "os.path", "../x", "a b", "numpy", "difflab", 3])
def test_not_everything_can_be_trusted(word, monkeypatch):
    with pytest.raises(ConfigError, match="trust="):
        trust([word])
    monkeypatch.setenv("DIFFLAB_TRUST", str(word))
    with pytest.raises(ConfigError, match="DIFFLAB_TRUST="):
        trusted()


def test_what_ones_own_conf_names_needs_no_word(honest, place, monkeypatch):
    """A choice in conf/ is code of the user's own, and stands there for good."""
    conf = place / "conf"
    (conf / "network").mkdir(parents=True)
    (conf / "network" / "mine.yaml").write_text(
        "norm: {_target_: evil_package.inner.Net}  # _target_: evil_module.Net\n", encoding="utf-8"
    )
    (conf / "logger").mkdir()
    (conf / "logger" / "mine.yaml").write_text(
        "_target_: evil_module.Net\nmore:\n  _target_: subprocess.run\n", encoding="utf-8"
    )
    shipped = (f"- {{_target_: {target}}}\n" for target in sorted(_named(honest)))
    (conf / "network" / "shipped.yaml").write_text("".join(shipped), encoding="utf-8")
    monkeypatch.setattr("difflab.config.trust.config_directory", lambda: conf)
    read_back(changed(honest, "network", {"_target_": "evil_package.inner.Net"}), FILE)
    for target in ("evil_module.Net", "subprocess.run"):
        with pytest.raises(ConfigError):
            read_back(changed(honest, "network", {"_target_": target}), FILE)


def _named(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and "_target_" in node:
        yield node["_target_"]
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _named(inner)


def exported(place: Path, text: str) -> Path:
    """A file of weights with this configuration in its header."""
    export_weights(place / "weights.safetensors", {"w": torch.zeros(1)}, "online", 1, text)
    return place / "weights.safetensors"


def run_directory(place: Path, text: str) -> Path:
    """A run with this configuration."""
    run = place / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(text, encoding="utf-8")
    state = {
        "state_dict": {"denoiser.w": torch.zeros(1)},
        "callbacks": {"EMACallback": {"shadows": {}}},
        "global_step": 1,
    }
    torch.save(state, run / "checkpoints" / "step-00000001.ckpt")
    return run


@pytest.mark.parametrize("kind", ["exported", "run", "checkpoint", "snapshots"])
def test_every_way_to_a_model_goes_through_it(kind, honest, place):
    text = changed(honest, "network", {"_target_": "evil_module.Net"})
    file = exported(place, text) if kind == "exported" else run_directory(place, text)
    name = str(file / "checkpoints" / "step-00000001.ckpt" if kind == "checkpoint" else file)
    std = 0.05 if kind == "snapshots" else None
    asked = [lambda: load_model(name, None, None, std), lambda: frozen_denoiser(name, posthoc_std=std)]
    if std is None:
        asked.append(lambda: frozen_classifier(name))
        asked.append(lambda: sample_from(name, place / "out"))
        asked.append(lambda: sample_from("null", place / "out", f"stages=[{name},{name}]"))
        asked.append(lambda: _evaluated(f"checkpoint={name}"))
    for ask in asked:
        error = io.StringIO()
        with contextlib.redirect_stderr(error), pytest.raises((ConfigError, SystemExit)) as found:
            ask()
        assert "evil_module" in f"{found.value}{error.getvalue()}"
    assert not (place / "ran").exists()


def _evaluated(*words: str) -> None:
    evaluate(composed("evaluate", "accelerator=cpu", *words))


@pytest.mark.parametrize("script", ["sample.py", pytest.param("evaluate.py", marks=pytest.mark.slow)])
def test_the_command_ends_with_one_line_that_names_the_file(script, honest, place):
    file = exported(place, changed(honest, "network", {"_target_": "evil_module.Net"}))
    done = subprocess.run(
        [sys.executable, str(ROOT / script), f"checkpoint={file}", "accelerator=cpu"],
        capture_output=True, encoding="utf-8", cwd=place, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {file}: module.denoiser.network.norm._target_ names evil_module.Net")
    assert not (place / "ran").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run with a mirror, whose files the tests change."""
    words = ("trainer.max_steps=2", "eval.every=2", "checkpoint.every=2", "eval.num_samples=16", "data.batch_size=16")
    return train_small(tmp_path_factory.mktemp("runs"), *words).run.path


def test_a_model_that_guides_is_looked_through_too(honest, place, trained):
    """The run is honest but for the weak model that it names, which lies beside it."""
    evil = exported(place, changed(honest, "network", {"_target_": "evil_module.Net"}))
    weak = {"_target_": "difflab.checkpoints.frozen_denoiser", "checkpoint": str(evil)}
    config = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    config["guidance"] = {"autoguidance": {"_target_": "difflab.guidance.Autoguidance", "weak": weak, "scale": 2.0}}
    copied = place / "copied"
    (copied / "checkpoints").mkdir(parents=True)
    (copied / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    newest = max((trained / "checkpoints").glob("step-*.ckpt"))
    (copied / "checkpoints" / newest.name).write_bytes(newest.read_bytes())
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit):
        sample_from(copied, place / "out", "num_samples=2")
    assert "evil_module" in said.getvalue()
    config["guidance"]["autoguidance"]["weak"]["checkpoint"] = str(copied)
    config["module"]["guidance"]["guidances"] = config["guidance"]
    (copied / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit):
        sample_from(copied, place / "out", "num_samples=2")
    assert "names itself as the model that guides it" in said.getvalue()
    assert not (place / "ran").exists()


def test_scores_go_to_wandb_without_the_other_loggers(place, trained, monkeypatch):
    """evaluate.py adds its scores to the run's mirror, and the run says which one that is."""
    sent = []
    monkeypatch.setattr("difflab.runs.wandb.mirror.weights_and_biases", _remembering(sent))
    config = yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))
    config["logger"] = {
        "evil": {"_target_": "evil_module.Net"},
        "wandb": {
            "_target_": "difflab.runs.wandb.weights_and_biases",
            "project": "p",
            "entity": None,
            "mode": "offline",
        },
    }
    (trained / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (trained / "wandb").mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        _evaluated(
            f"checkpoint={trained}", "num_samples=16", "batch_size=16", "metric=[frechet]", "replicates=0", "steps=2"
        )
    ((project, params, scores),) = sent
    assert project == "p"
    assert params["seed"] == 0
    assert list(scores) == ["evaluate/warm_up/fd_digits@16", "evaluate/warm_up/fd_digits@16/protocol"]
    assert not (place / "ran").exists()


def _remembering(sent: list[Any]):
    class Mirror:
        def __init__(self, project: str):
            self.project = project

        def summarise(self, params: Any, scores: Any) -> None:
            sent.append((self.project, params, scores))

    def weights_and_biases(project: str, entity: str | None, mode: str, **known: Any) -> Mirror:
        return Mirror(project)

    return weights_and_biases


OUTSIDE = "# @package _global_\ndefaults: [/experiment/cosine_adagn]\nseed: 77\n"


@pytest.mark.parametrize(
    "word",
    [
        *(
            "+experiment={up}",
            "+experiment={absolute}",
            "+experiment=cosine_adagn,{up}",
            "'+experiment={up}'",
            '+experiment="{absolute}"',
        ),
        *("network/norm={up}", "ema=[warm_up,{up}]", "+experiment@mine={up}", "+experiment=choice({up},cosine_adagn)"),
    ],
)
def test_a_choice_is_no_path(word, place):
    (place / "x.yaml").write_text(OUTSIDE, encoding="utf-8")
    up = "/".join([*[".."] * len(Path.cwd().parts), *ROOT.parts[1:], *[".."] * len(ROOT.parts), *place.parts[1:], "x"])
    given = word.format(up=up, absolute=place / "x").strip("'")
    with composing(), pytest.raises(ConfigError, match=r"a choice is the name of a file in conf/"):
        compose_or_explain("train", [given])


def test_a_study_cannot_leave_conf_either(place):
    node = {
        **{"question": "?", "baseline": "a", "seeds": [0], "experiment": "../../x"},
        **{"evaluation": {"decides": "fd_digits"}, "rows": {"a": {}}},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(node), encoding="utf-8")
    with pytest.raises(StudyError, match=r"row a: experiment=../../x: a choice is the name of a file"):
        plan_study(load_study(place / "study.yaml"), (), None, "network.width")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..", "."])
def test_a_run_stays_below_its_root(name, place):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit):
        train_small(place / "runs" / "inner", f"run.name={name}")
    assert f"run.name={name} must be a name" in said.getvalue()
    assert not (place / "runs").exists()


@pytest.mark.parametrize("word", ["project=../x", "project=a/b", "entity=a:b", "project=.."])
def test_a_name_in_wandb_is_no_path(word, place):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit):
        train_small(place / "runs", "logger=[wandb]", f"logger.wandb.{word}")
    assert f"logger.wandb.{word}: W&B has no such names" in said.getvalue()
    assert not (place / "runs").exists()


@pytest.mark.parametrize("path", ["/etc", "../other", "a/../../b"])
def test_a_set_of_images_names_no_files_elsewhere(path, place):
    (place / "plan.json").write_text(json.dumps({"plan": {"first_seed": 0}, "num_samples": 1}), encoding="utf-8")
    (place / "complete.json").write_text(json.dumps({"files": {"folder": path}, "request": {}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"complete\.json: a file is called"):
        read_set(place)


def test_a_secret_of_ones_own_is_not_written_down(place):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit):
        train_small(place / "runs", "run.name=${oc.env:MY_SECRET}")
    assert "oc.env:MY_SECRET is called a secret" in said.getvalue()
    assert "hush" not in said.getvalue()
    assert not (place / "runs").exists()


def test_a_study_trusts_in_its_evaluations_what_its_rows_name(honest):
    assert packages_of(honest) == []
    own = json.loads(json.dumps(honest))
    own["module"]["denoiser"]["network"]["_target_"] = "my_work.net.Net"
    own["logger"] = {"mine": {"_target_": "my_logger.Logger"}}
    assert packages_of(own) == ["my_work"]


def test_a_planned_evaluation_is_told_to_trust_the_rows_package(place):
    (place / "own_net.py").write_text(
        "from difflab.networks import UNet\n\n\ndef net(**settings):\n    return UNet(**settings)\n", encoding="utf-8"
    )
    words = [*SMALL[1:], f"run.root={place / 'runs'}"]
    node = {
        **{"question": "?", "baseline": "a", "seeds": [0], "experiment": "cosine_adagn", "overrides": words},
        "evaluation": {"decides": "fd_digits", "overrides": ["num_samples=20", "metric=[frechet]"]},
        "rows": {"a": {}, "b": {"change": ["network"], "overrides": ["network._target_=own_net.net"]}},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(node), encoding="utf-8")
    cells = {cell.row: cell for cell in plan_study(load_study(place / "study.yaml"), (), None, "network.width").cells}
    assert "trust=[own_net]" in cells["b"].overrides
    assert not [word for word in cells["a"].overrides if word.startswith("trust")]
