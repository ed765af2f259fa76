"""What users of other programs type: each word is a key, or is refused with the key that was meant."""

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from difflab.cli.entry import help_text
from difflab.config.keys import ConfigError, compose_or_explain, composing
from difflab.config.paths import config_files
from difflab.config.resolve import resolve_row
from difflab.config.words import ALIASES, INSTEAD, as_meant, choice_aliases
from difflab.runs import identity
from one_pass import each


def composed(command: str, *words: str):
    with composing():
        return compose_or_explain(command, list(words))


def refused(command: str, *words: str) -> str:
    with pytest.raises(ConfigError) as error:
        composed(command, *words)
    assert "\n" not in str(error.value)
    return str(error.value)


@each(
    ("typed", "meant"),
    [
        (["experiment=cosine_adagn", "lr=2e-4"], ["+experiment=cosine_adagn", "optimizer.lr=2e-4"]),
        (["+experiment=cosine_adagn", "+learning_rate=2e-4"], ["+experiment=cosine_adagn", "optimizer.lr=2e-4"]),
        (["experiment=a,b", "batch_size=16,32"], ["+experiment=a,b", "data.batch_size=16,32"]),
        (["experiment=[a,b]", "shrink=tiny"], ["+experiment=[a,b]", "+shrink=tiny"]),
        (["steps=9", "trainer.max_steps=9"], ["trainer.max_steps=9"]),
        (["paths.output_dir=out", "data_dir=my images"], ["run.root=out", "data.dataset.root=my images"]),
        (["wandb.project=mine", "ema_decay=0.99"], ["logger.wandb.project=mine", "ema.warm_up.decay=0.99"]),
        (
            ["guidance=[cfg,clip]", "parameterization=v"],
            ["guidance=[classifier_free,clip]", "parameterization=velocity"],
        ),
        (["data=folder", "data.dataset.root=a=b", "odd word"], ["data=folder", "data.dataset.root=a=b", "odd word"]),
    ],
)
def test_a_word_of_train_is_its_key(typed, meant):
    assert as_meant("train", typed) == meant


@each(
    ("typed", "meant"),
    [
        ("metric=fid", "metric=frechet"),
        ("metrics=[fid,is]", "metric=[frechet,inception_score]"),
        ("metric=[kid, sfid]", "metric=[kernel, spatial_frechet]"),
        ("metric=prdc", "metric=[density_coverage,precision_recall]"),
        ("metric=[fid,prdc]", "metric=[frechet,density_coverage,precision_recall]"),
        ("metric=fid,kid", "metric=frechet,kernel"),
        ("metric=lpips", "metric=lpips"),
        ("guidance_scale=2", "scale=2"),
        ("stage.1.num_inference_steps=10", "stage.1.steps=10"),
        ("ckpt_path=runs/a b", "checkpoint=runs/a b"),
        ("metric.kernel.subsets=3", "metric.kernel.subsets=3"),
    ],
)
def test_a_word_of_evaluate_is_its_key(typed, meant):
    assert as_meant("evaluate", [typed]) == [meant]


def test_a_word_and_its_key_say_one_thing():
    said = refused("train", "batch_size=16", "data.batch_size=32")
    assert (
        said == "data.batch_size=16 and data.batch_size=32: batch_size is short for data.batch_size: give one of them"
    )
    assert "lr" in refused("train", "lr=1", "learning_rate=2")


@pytest.mark.parametrize("command", ALIASES)
def test_every_short_word_leads_to_a_key_and_hides_none(command):
    of_training = ["+experiment=cosine_adagn", "guidance=[cfg,clip]", "data=folder", "init_from=weights"]
    config = composed(command, *(of_training if command in ("train", "explain") else []))
    for word, key in ALIASES[command].items():
        assert word not in config, word
        above = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
        assert key.rpartition(".")[2] in list(above), key
    assert not ALIASES[command].keys() & INSTEAD.get(command, {}).keys()


def test_no_other_name_of_a_choice_is_a_choice():
    for group in ("metric", "guidance", "parameterization", "schedule", "sampler"):
        assert not choice_aliases(group).keys() & config_files(group).keys()


def test_the_run_is_that_of_the_long_words():
    def name(*words: str) -> str:
        return identity(resolve_row(words).config, "data", "judge", {})

    long = name("+experiment=cosine_adagn", "optimizer.lr=0.001", "data.batch_size=32", "parameterization=velocity")
    assert name("experiment=cosine_adagn", "lr=0.001", "batch_size=32", "parameterization=v") == long
    assert name("experiment=cosine_adagn", "lr=0.002", "batch_size=32", "parameterization=v") != long
    row = resolve_row(["experiment=cosine_adagn", "lr=0.001"])
    assert row.overrides == ("+experiment=cosine_adagn", "optimizer.lr=0.001")
    assert not {"lr", "batch_size"} & row.config.keys()


@each(
    ("command", "word", "near"),
    [
        ("train", "max_epochs=3", "trainer.max_steps"),
        ("train", "epochs=3", "trainer.max_steps"),
        ("train", "metric=fid", "evaluate.py takes metric=..."),
        ("train", "bacth_size=3", "did you mean 'data.batch_size'?"),
        ("train", "lerning_rate=3", "did you mean 'optimizer.lr'?"),
        ("train", "model.width=3", "did you mean 'network.width'?"),
        ("train", "optim.lr=3", "did you mean 'optimizer.lr'?"),
        ("train", "trainer.epochs=3", "trainer"),
        ("train", "experiment=cosine_adagm", "did you mean 'cosine_adagn'?"),
        ("evaluate", "num_smaples=3", "did you mean 'num_samples'?"),
        ("evaluate", "metric=fidd", "did you mean"),
        ("sample", "guidence_scale=3", "did you mean 'scale'?"),
        ("train", "guidance_scale=3", "guidance_scale is short for guidance.classifier_free.scale"),
    ],
)
def test_a_wrong_word_is_told_the_near_one(command, word, near):
    assert near in refused(command, word)


@pytest.mark.parametrize("command", ALIASES)
def test_the_help_names_the_short_words(command):
    lines = help_text(command, "", [], [], lambda group: True).splitlines()
    short = lines[lines.index("Short words, and what they stand for") :]
    for word, key in ALIASES[command].items():
        assert any(line.endswith(f" {key}") and word in line.replace(",", " ").split() for line in short), word
    assert "  metric=fid                             metric=frechet" in short


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A folder of somebody's own choices, in an empty folder with a space in its name."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my conf"
    for name, text in {
        "experiment/mine.yaml": "# @package _global_\n# An experiment of mine\n"
        "defaults:\n  - cosine_adagn\n  - override /objective/weighting: min_snr\n",
        "optimizer/decaying.yaml": "defaults:\n  - adamw\nweight_decay: 0.25\n",
        "metric/mine.yaml": "# @package metric.mine\n# alias: m\n_target_: difflab.metrics.Frechet\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def argv(monkeypatch):
    """Gives a command its words, and takes what they added to the search path away again."""
    from difflab.config.paths import add_config_directories

    def give(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", list(words))

    yield give
    add_config_directories([])


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "my conf"],
        ["--config-dir=my conf"],
        ["-cd", "my conf"],
        ["hydra.searchpath=['file://my conf']"],
        ["hydra.searchpath=['my conf']"],
    ],
)
def test_choices_of_ones_own_are_found(own, argv, words):
    from difflab.cli.entry import arguments

    argv("train.py", "experiment=mine", "optimizer=decaying", *words)
    left = arguments()
    assert left == ["experiment=mine", "optimizer=decaying"]
    config = resolve_row(left).config
    assert config["optimizer"]["weight_decay"] == 0.25
    assert config["objective"]["weighting"]["_target_"].endswith("MinSNR")
    assert config["run"]["name"] == "mine"
    assert as_meant("evaluate", ["metric=m"]) == ["metric=mine"]
    assert "'mine'" in refused("train", "experiment=mien")


@pytest.mark.parametrize(
    ("word", "key"), [("max_steps", "trainer.max_steps"), ("lr", "optimizer.lr"), ("optimiser", "optimizer")]
)
def test_a_short_word_in_a_file_is_told_its_key(own, argv, word, key):
    """It is understood on the command line, where it is rewritten; a file of one's own has the keys themselves."""
    from difflab.cli.entry import arguments

    file = own / "experiment/mine.yaml"
    file.write_text(f"# @package _global_\ndefaults: [cosine_adagn]\n{word}: 5\n", encoding="utf-8")
    argv("train.py", "experiment=mine", "--config-dir", "my conf")
    with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
        resolve_row(arguments())


def test_a_choice_in_a_folder_conf_is_told_how_it_is_found(own):
    own.rename(own.parent / "conf")
    assert refused("train", "experiment=mine").endswith("add --config-dir conf to the command")


def test_listings_and_help_show_choices_of_ones_own(own, argv, capsys):
    from difflab.cli import train

    argv("train.py", "+experiment=list", "--config-dir", "my conf")
    train.main()
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["mine"] == "An experiment of mine"
    assert "cosine_adagn" in rows
    argv("train.py", "optimizer=list", "--config-dir", "my conf")
    train.main()
    assert "decaying" in capsys.readouterr().out.split()
    argv("train.py", "--help", "--config-dir", "my conf")
    train.main()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["optimizer"])
    assert "decaying" in line.split(maxsplit=1)[1].split(", ")


@pytest.mark.parametrize("command", ["train", "sample", "evaluate", "study", "doctor", "info", "data"])
def test_a_folder_that_is_not_there_is_a_line_of_every_command(command, argv, capsys, tmp_path, monkeypatch):
    from difflab.cli.main import function_of
    from difflab.config.sweep_rows import Ended

    monkeypatch.chdir(tmp_path)
    argv(f"{command}.py", "x", "--config-dir", "absent")
    with pytest.raises(Ended) as end:
        function_of(command)()
    assert end.value.status == 2
    assert capsys.readouterr().err == "error: --config-dir absent: there is no such folder\n"


def test_a_setting_with_dashes_is_told_how_it_is_written(argv, capsys):
    """Hydra takes --experiment for the beginning of a flag of its own, and looked for a file of that name."""
    from difflab.cli.entry import arguments
    from difflab.config.sweep_rows import Ended

    argv("train.py", "--experiment=cosine_adagn")
    with pytest.raises(Ended) as end:
        arguments()
    assert end.value.status == 2
    assert "write experiment=cosine_adagn" in capsys.readouterr().err
