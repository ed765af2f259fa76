"""A part is exchanged on top of an experiment that sets the inside of the one before it."""

import subprocess
import sys
import warnings

import pytest

import running
from difflab.config.build import plain
from difflab.config.keys import ConfigError, check_keys
from difflab.config.paths import add_config_directories, config_directory, search_words
from difflab.config.resolve import _composition, resolve_row
from difflab.config.run import schema
from difflab.config.unchosen import drop_unchosen
from difflab.runs.identity import identity

INSIDE = ("width", "channel_mult", "depth", "attention_resolutions")
"""Keys of network that cosine_adagn sets."""

MODULE = '''
"""A network of a colleague."""

from torch import nn

from difflab.networks import Network


class Dit(Network):
    """One convolution."""

    def __init__(self, image_size: int, in_channels: int, out_channels: int, depth: int = 3, norm: str = "rms"):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.layer = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x, time, cond):
        return self.layer(x)


class Gridless:
    """A sampler that chooses its times itself."""
'''
YAML = """
# one convolution
_target_: colleagues_network.Dit
image_size: ${data.image_size}
in_channels: ${data.channels}
out_channels: ${out_channels:${data.channels},${variance}}
norm: rms
"""


@pytest.fixture
def colleague(tmp_path, monkeypatch):
    """A package of one's own with a network, and its folder of configurations; what a test adds to that is found as well."""
    (tmp_path / "colleagues_network.py").write_text(MODULE, encoding="utf-8")
    for group in ("network", "sampler", "experiment"):
        (tmp_path / "conf" / group).mkdir(parents=True)
    (tmp_path / "conf" / "network" / "colleagues.yaml").write_text(YAML, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    add_config_directories(
        [tmp_path / "conf"]
    )  # as hydra.searchpath=[...] does, once for all that the command composes
    _composition.cache_clear()
    yield tmp_path / "conf"
    sys.modules.pop("colleagues_network", None)
    add_config_directories([])
    _composition.cache_clear()


def experiment(folder, name, text):
    (folder / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n# mine\n{text}\n", encoding="utf-8")


def trained(*words):
    """What train.py checks, of these words."""
    config = running.composed("train", *search_words(), *words)
    drop_unchosen(config)
    check_keys(config, schema("train"))
    return config


def test_what_an_experiment_sets_inside_the_part_before_is_left_out_and_named():
    with pytest.warns(UserWarning, match="left out of experiment=cosine_adagn") as told:
        row = resolve_row(["+experiment=cosine_adagn", "network=superres", "seed=4"])
    (line,) = [str(one.message) for one in told if "left out" in str(one.message)]
    for name in (*(f"network.{key}" for key in INSIDE), "network/norm=adagn", "network/resample=biggan"):
        assert name in line
    assert "\n" not in line
    plain = resolve_row(["network=superres", "data=digits", "seed=4"]).config["network"]
    assert row.config["network"] == plain
    assert row.config["sampler"]["_target_"].endswith("DDIM"), "the rest of the experiment stays"


def test_the_run_is_the_one_that_says_it_without_the_experiments_inside(colleague):
    experiment(colleague, "inside", "network: {width: 48, depth: 2}\nschedule: {steps: 50}")
    experiment(colleague, "without", "network: {depth: 2}\nschedule: {steps: 50}")
    configs = []
    for name in ("inside", "without"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            configs.append(resolve_row([f"+experiment={name}", "network=colleagues", "run.name=x"]).config)
    assert configs[0] == configs[1]
    assert configs[0]["network"]["depth"] == 2, "a key that the new part has as well"
    assert identity(configs[0], "data", "judge") == identity(configs[1], "data", "judge")


def test_training_and_a_row_of_a_study_say_the_same():
    words = ("+experiment=cosine_addgn", "network=superres")
    with pytest.warns(UserWarning, match="left out"):
        config = trained(*words)
    _composition.cache_clear()
    with pytest.warns(UserWarning, match="left out"):
        row = resolve_row(words)
    assert dict(row.config["network"]["unet"]) == plain(config.network.unet)


def test_an_experiment_may_exchange_a_part_of_the_one_that_it_builds_on(colleague):
    experiment(
        colleague,
        "mine",
        "defaults:\n  - /experiment/cosine_addgn\n  - override /network: colleagues\n\nnetwork: {depth: 5}",
    )
    with pytest.warns(UserWarning, match=r"left out of .*: network\.width, network\.channel_mult"):
        config = resolve_row(["+experiment=mine"]).config
    assert config["network"]["depth"] == 5
    assert config["network"]["norm"] == "rms", (
        "the part's own value, and not the experiment's choice of a part before it"
    )


def test_a_debug_choice_leaves_out_what_the_sampler_lacks(colleague):
    (colleague / "sampler" / "gridless.yaml").write_text("_target_: colleagues_network.Gridless\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"left out of .*debug=fast.*: sampler\.grid$"):
        trained("+experiment=cosine_adagn", "sampler=gridless", "+debug=fast")


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ("network: {widht: 64}", ["network=superres"], r"unknown key 'network\.widht'"),
        ("network: {width: 64}", ["network=superres", "network.depth=3"], r"network\.depth"),
        ("network: {width: 64}", ["network=superres", "+network.depth=3"], r"unknown key 'network\.depth'"),
        ("network: {width: 64}", ["network=superres", "network.width=3"], r"unknown key 'network\.width'"),
        ("network: {width: 64}", ["network=superres", "network/norm=adagn"], r"no network/norm beside network=superres"),
        ("defaults:\n  - override /network/nrom: adagn", ["network=superres"], r"mine chooses network/nrom, which there is not"),
        ("defaults:\n  - override /network: superres\n  - override /network/norm: adagn", [], r"mine chooses network/norm"),
        ("defaults:\n  - override /network: superres\n\nnetwork: {width: 64}", [], r"unknown key 'network\.width'"),
        ("network: {width: 64}", ["schedule=linear", "+network.widht=3"], r"unknown key 'network\.widht'"),
        ("network: {width: 64}", ["network=leftover"], r"unknown key 'network\.channel_mult'.*Dit"),
    ],
)  # fmt: skip
def test_what_is_wrong_whatever_is_chosen_stays_an_error(text, words, told, colleague):
    (colleague / "network" / "leftover.yaml").write_text(f"{YAML}channel_mult: [1]\n", encoding="utf-8")
    experiment(colleague, "mine", text)
    with warnings.catch_warnings(action="ignore"), pytest.raises(ConfigError, match=told) as caught:
        resolve_row(["+experiment=mine", *words])
    assert "\n" not in str(caught.value)


def test_nothing_is_said_where_no_part_is_exchanged():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained("+experiment=cosine_addgn", "network.width=32", "schedule=linear")


def test_the_command_itself_gets_as_far_as_the_users_own_mistake():
    words = ["+experiment=cosine_adagn", "network=superres", "network.width=3"]
    done = subprocess.run(
        [sys.executable, "train.py", *words], cwd=config_directory().parent, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "error: unknown key 'network.width': network (SuperRes) has no 'width'"
    )
