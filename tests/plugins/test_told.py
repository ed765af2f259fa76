"""What models are told by ideas outside of the tree: who says it, what is refused, and what of it is written down."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import torch
from semantic_map import MappedDigits, SemanticMap
from text import CaptionedDigits, Text

from difflab.cli.evaluate import evaluate
from difflab.cli.sample import sample
from difflab.cli.train import train
from difflab.config.paths import add_config_directories, search_words
from difflab.config.resolve import _composition
from difflab.config.trust import trust
from difflab.data import Shuffled
from difflab.runs import RunDirectory
from running import composed

HERE = Path(__file__).parent
WORDS = (
    *("trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.log_every_n_steps=1", "eval.every=2", "logger=none"),
    *("eval.num_samples=8", "eval.batch_size=8", "eval.grid=4", "checkpoint.every=2", "data.batch_size=8"),
)


@pytest.fixture(scope="module", autouse=True)
def found():
    """The ideas' configurations are on Hydra's path, and their code is trusted."""
    add_config_directories([HERE / "conf"])
    _composition.cache_clear()
    yield
    add_config_directories([])
    trust([])
    _composition.cache_clear()


def trained(root: Path, idea: str, *words: str) -> RunDirectory:
    given = (f"+experiment={idea}", *WORDS, *words, *search_words(), "trust=[text,semantic_map]", f"run.root={root}")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        train(composed("train", *given))
    return RunDirectory(Path(out.getvalue().splitlines()[-1]))


def drawn(run: RunDirectory, out: Path, *words: str) -> dict:
    """The plan of what sample.py draws."""
    given = (f"checkpoint={run.path}", f"out={out}", "accelerator=cpu", *search_words(), "trust=[text,semantic_map]")
    with contextlib.redirect_stdout(io.StringIO()):
        sample(composed("sample", *given, "num_samples=6", "batch_size=4", *words))
    return json.loads((out / "plan.json").read_text(encoding="utf-8"))["plan"]


@pytest.fixture(scope="module")
def told_text(tmp_path_factory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("runs"), "text")


@pytest.fixture(scope="module")
def told_map(tmp_path_factory) -> RunDirectory:
    return trained(tmp_path_factory.mktemp("runs"), "semantic_map")


def test_the_prompts_are_in_the_protocol_by_their_hash_and_number_wherever_images_are_drawn(told_text, tmp_path):
    source = Shuffled(CaptionedDigits())
    expected = {"fingerprint": source.fingerprint, "prompts": 1797, "parts": "text"}
    plan = drawn(told_text, tmp_path / "drawn")
    out = tmp_path / "measured"
    given = (f"checkpoint={told_text.path}", f"out={out}", "accelerator=cpu", *search_words(), "trust=text")
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(composed("evaluate", *given, "num_samples=8", "batch_size=8", "replicates=0", "metric=[frechet]"))
    (measured,) = json.loads((out / "results.json").read_text(encoding="utf-8"))["measurements"]
    in_training = next(iter(told_text.protocols().values()))
    for fields in (plan, measured["protocol"], in_training):
        assert {key: fields[f"conditions.{key}"] for key in expected} == expected
    captions = (tmp_path / "drawn" / "text.txt").read_text(encoding="utf-8").splitlines()
    assert captions == Text.of(source.condition(torch.arange(6))).texts()
    assert (out / "text.txt").read_text(encoding="utf-8").splitlines()[:6] == captions
    assert json.loads((told_text.path / "provenance.json").read_text(encoding="utf-8"))


def test_a_negative_prompt_changes_the_images_and_their_protocol(told_text, tmp_path):
    scale = ("guidance=[classifier_free,clip]", "guidance.classifier_free.scale=4")
    plan = drawn(told_text, tmp_path, *scale, "guidance.classifier_free.negative={text: a zero}")
    assert plan["guidance.classifier_free.negative.text"] == "a zero"


def test_classes_of_the_command_go_with_maps_of_the_data(told_map, tmp_path):
    plan = drawn(told_map, tmp_path, "classes=[3,5]")
    assert plan["classes"] == "3,5 in turn"
    assert (plan["conditions.parts"], plan["conditions.fingerprint"]) == ("map", Shuffled(MappedDigits()).fingerprint)
    whole = drawn(told_map, tmp_path / "all", "conditions=[of_data]")
    assert whole["classes"] == "of the given images"


def test_a_map_is_mirrored_with_its_image():
    data = composed("train", "+experiment=semantic_map", *search_words()).data
    from difflab.config.build import build

    batch = build(data, seed=0).stream[list(range(20))]
    assert torch.equal(SemanticMap.of(batch.cond).values[:, 1:] > 0, batch.x0 > 127)


def test_a_map_may_be_the_image_that_a_network_of_the_tree_reads(tmp_path):
    words = ("network=superres", "network.unet.in_channels=3", "network.image_channels=2", "condition_dropout=0.1")
    small = ("network.unet.width=32", "network.unet.channel_mult=[1]", "network.unet.attention_resolutions=[8]")
    given = (*words, *small, "data.dataset._target_=semantic_map.GivenDigits", "embedder=[label]")
    few = ("trainer.max_steps=2", "sampler.grid.steps=3", "extractor=thumbnail", "conditions=[of_data]")
    run = trained(tmp_path / "runs", "cosine_adagn", *given, *few)
    assert drawn(run, tmp_path / "drawn")["conditions.parts"] == "image"


REFUSED = [
    ("text", ("+condition_dropout.txet=0.1",), "condition_dropout.txet: the model is told text, and no txet"),
    (
        "text",
        ("conditions=[in_turn]",),
        r"the model is told text, and nothing says which: choose conditions=\[of_data\]",
    ),
    ("text", ("condition_dropout=0",), "guidance 'classifier_free' asks the model"),
    ("text", ("+guidance.classifier_free.scale.label=2",), "there is no 'label' to be dropped"),
    ("text", ("guidance.classifier_free.negative={text: a cat}",), "text: 'a cat' is no caption"),
    ("semantic_map", ("condition_dropout.map=0",), "without map, which it learns only if just that is dropped"),
    ("semantic_map", ("condition_dropout=0.1",), "without map, which it learns only if just that is dropped"),
    ("cosine_adagn", ("data.dataset._target_=semantic_map.GivenDigits",), "is told one of 2.*image_channels=2"),
]


@pytest.mark.parametrize(("idea", "words", "message"), REFUSED)
def test_what_does_not_go_together_is_refused_before_training(idea, words, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        trained(tmp_path, idea, *words)
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_prompt_that_nobody_gives_is_refused_before_drawing(told_text, tmp_path, capsys):
    with pytest.raises(SystemExit):
        drawn(told_text, tmp_path / "out", "conditions=[in_turn]")
    assert "the model is told text, and nothing says which: choose conditions=[of_data]" in capsys.readouterr().err
    (weights,) = (told_text.path / "weights").glob("online.safetensors")
    with pytest.raises(SystemExit):
        drawn(RunDirectory(weights), tmp_path / "out", "conditions=[in_turn]")
    assert "the model is told text" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
