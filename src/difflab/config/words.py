"""Words that a command understands: short ones, those of other programs, and values that Hydra's grammar has no letters for.

Short words that a command understands, and the words of other programs: each stands for one key, which alone is in the configuration.

Keys are listed here. A choice says itself how it is called elsewhere, in a line of its file: `# alias: fid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from difflab.config.groups import ConfigError, choices_of, is_global
from difflab.config.paths import config_directory, config_files, is_group
from difflab.reading import read_yaml

_DRAWING = {
    "ckpt_path": "checkpoint",
    "ckpt": "checkpoint",
    "guidance_scale": "scale",
    "cfg_scale": "scale",
    "num_inference_steps": "steps",
    "sampling_steps": "steps",
    "num_images": "num_samples",
    "seed": "first_seed",
    "output_dir": "out",
}

_TRAINING = {
    "batch_size": "data.batch_size",
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "max_steps": "trainer.max_steps",
    "steps": "trainer.max_steps",
    "max_train_steps": "trainer.max_steps",
    "accelerator": "trainer.accelerator",
    "devices": "trainer.devices",
    "num_nodes": "trainer.num_nodes",
    "precision": "trainer.precision",
    "gradient_clip_val": "trainer.gradient_clip_val",
    "num_workers": "data.num_workers",
    "image_size": "data.image_size",
    "num_classes": "data.num_classes",
    "max_images": "data.max_images",
    "max_train_samples": "data.max_images",
    "ema_decay": "ema.warm_up.decay",
    "guidance_scale": "guidance.classifier_free.scale",
    "cfg_scale": "guidance.classifier_free.scale",
    "num_inference_steps": "sampler.grid.steps",
    "name": "run.name",
    "output_dir": "run.root",
    "paths.output_dir": "run.root",
    "paths.log_dir": "run.root",
    "data_dir": "data.dataset.root",
    "paths.data_dir": "data.dataset.root",
    "wandb": "logger.wandb",
    "init_from.ema": "init_from.track",
}

ALIASES: Mapping[str, Mapping[str, str]] = {
    "train": _TRAINING,
    "explain": _TRAINING | {"steps": "sampler.grid.steps", "output_dir": "out"},
    "explain_model": _DRAWING,
    "sample": _DRAWING,
    "evaluate": _DRAWING | {"metrics": "metric"},
}
"""Command -> word -> key. What stands behind the word belongs to it: wandb.project is logger.wandb.project."""

_EPOCHS = "the stream of images has no epochs: set trainer.max_steps (each step takes data.batch_size images)"
_AGAIN = "the same command again goes on where a run was; init_from=RUN starts a new one from its weights"

INSTEAD: Mapping[str, Mapping[str, str]] = {
    "train": {
        "epochs": _EPOCHS,
        "max_epochs": _EPOCHS,
        "num_epochs": _EPOCHS,
        "ckpt_path": _AGAIN,
        "resume": _AGAIN,
        "resume_from_checkpoint": _AGAIN,
        "metric": "training is scored by its extractor (extractor=...); evaluate.py takes metric=...",
        "metrics": "training is scored by its extractor (extractor=...); evaluate.py takes metric=...",
        "max_time": "set trainer.max_time=DD:HH:MM:SS",
    },
    "sample": {"metric": "evaluate.py measures: evaluate.py checkpoint=... metric=..."},
    "evaluate": {},
}
"""Command -> word that stands for nothing there -> what to do instead."""

_WORD = re.compile(
    r"(?P<stage>stage\.\d+\.)?(?P<plus>\+{0,2})(?P<key>[\w/]+)(?P<rest>(?:\.[^=]*)?)=(?P<value>.*)", re.DOTALL
)
_NAME = re.compile(r"[^\s,\[\]'\"]+")
_ALIAS = re.compile(r"^# alias: (.+)$", re.MULTILINE)


def as_meant(command: str, words: Sequence[str]) -> list[str]:
    """The words with the keys and choices that they stand for, and a plus where a group is not among the command's own.

    Args:
        command: train, sample or evaluate, whose configuration the words are for.
        words: key=value, as they were typed. What cannot be read stays.

    Raises:
        ConfigError: A word stands for nothing, or it and its key say two things.
    """
    meant, said = list[str](), dict[str, str]()
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            meant.append(word)
            continue
        key, rest = match["key"], match["rest"]
        if not rest and key in INSTEAD.get(command, {}):
            raise ConfigError(f"{key}={match['value']}: {INSTEAD[command][key]}")
        known = ALIASES.get(command, {})
        whole, name = known.get(key + rest) if rest else None, known.get(key)
        if whole or name:
            full = f"{match['stage'] or ''}{whole or f'{name}{rest}'}={_chosen(whole or str(name), match['value'])}"
            said[full.partition("=")[0]] = word
        elif is_group(key) and not rest:
            plus = match["plus"] or ("+" if is_global(key) and key not in _defaults(command) else "")
            full = f"{match['stage'] or ''}{plus}{key}={_chosen(key, match['value'])}"
        else:
            full = word
        meant.append(full)
    for key, word in said.items():
        others = {one for one in meant if one.lstrip("+").partition("=")[0] == key}
        if len(others) > 1:
            raise ConfigError(
                f"{' and '.join(sorted(others))}: {word.partition('=')[0]} is short for {key}: give one of them"
            )
    return [one for i, one in enumerate(meant) if one.partition("=")[0] not in said or one not in meant[:i]]


def short_for(command: str, words: Sequence[str], message: str) -> str:
    """What is added to a message that speaks of a key which was typed as another word; nothing if none was."""
    typed = {match["key"] for word in words if (match := _WORD.fullmatch(word))}
    pairs = [(word, key) for word, key in ALIASES.get(command, {}).items() if word in typed]
    found = [
        f"{word} is short for {key}"
        for word, key in pairs
        if any(part in message for part in (key, key.rpartition(".")[0]) if part)
    ]
    return f" ({', '.join(found)})" if found else ""


def choice_aliases(group: str) -> dict[str, list[str]]:
    """Other name -> the choices of a group for which it stands, as their files say."""
    found: dict[str, list[str]] = {}
    for choice, path in config_files(group, "*.yaml").items():
        for line in _ALIAS.findall(path.read_text(encoding="utf-8")):
            for alias in re.split(r",\s*", line):
                found.setdefault(alias, []).append(choice)
    return found


def described(command: str, groups: Sequence[str]) -> list[str]:
    """The short words of a command for its help: a line for each key, and for each choice of these groups that has other names."""
    keys: dict[str, list[str]] = {}
    for word, key in ALIASES.get(command, {}).items():
        keys.setdefault(key, []).append(word)
    lines = [f"{', '.join(words):38} {key}" for key, words in keys.items()]
    for group in groups:
        for alias, choices in choice_aliases(group).items():
            value = choices[0] if len(choices) == 1 else f"[{','.join(choices)}]"
            lines.append(f"{f'{group}={alias}':38} {group}={value}")
    return lines


def _chosen(group: str, value: str) -> str:
    """The choices that a value names, of which some may have other names. A name that stands for several becomes a list of them."""
    known = choice_aliases(group) if is_group(group) else {}
    if not known:
        return value
    names = set(choices_of(group))

    def full(match: re.Match[str]) -> str:
        return ",".join(known[match[0]]) if match[0] in known and match[0] not in names else match[0]

    found = _NAME.sub(full, value)
    return f"[{found}]" if len(known.get(value, ())) > 1 else found


@cache
def _defaults(command: str) -> frozenset[str]:
    """The groups of which a command's own configuration chooses."""
    defaults = read_yaml(config_directory() / f"{command}.yaml").get("defaults", [])
    return frozenset(str(key) for one in defaults if isinstance(one, dict) for key in one)


_ONE_TEXT = re.compile(r"(?P<key>[^=]+)=(?P<text>[^\[\]{},\"'=]+)")
"""key=value whose value is neither a list, a dictionary nor a sweep."""

_STRANGE = re.compile(r"[^ -~]|/.*[()!&;#^<>`~]|[()!&;#^<>`~].*/", re.DOTALL)
"""A letter that is not ASCII, or a path with a sign that means something to Hydra, or nothing."""


_NOTHING = re.compile(r"(?P<group>\+?[\w/]+)=\[ *\]")
"""group=[]: nothing of a group is chosen, which Hydra takes out of the configuration."""


_GIVEN = re.compile(r"\+*init_from=(?P<value>.+)")
"""Weights to start from, of which there is one kind with a name of its own: init_from=RUN."""


def readable(words: Sequence[str]) -> list[str]:
    """The words with such values in quotes, group=none for group=[], and init_from=weights init_from.checkpoint=RUN for init_from=RUN.

    What Hydra can read, and what is wrong in another way, stays.

    A choice of `debug` goes last: the experiment would undo it otherwise.
    """
    written = [_readable(one) for word in words for one in _written_out(word)]
    return sorted(written, key=lambda word: word.lstrip("+").startswith("debug="))


def _written_out(word: str) -> list[str]:
    match = _GIVEN.fullmatch(word)
    if match is None or match["value"] == "[]" or match["value"] in config_files("init_from"):
        return [word]
    return ["init_from=weights", f"init_from.checkpoint={match['value']}"]


def quoted(text: str) -> str:
    """As Hydra reads it back: a backslash counts as one unless it stands before a quote."""
    return '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text) + '"'


def _readable(word: str) -> str:
    nothing = _NOTHING.fullmatch(word)
    if nothing is not None and config_files(nothing["group"].lstrip("+"), "none.yaml"):
        return f"{nothing['group']}=none"
    match = _ONE_TEXT.fullmatch(word)
    if match is None or not _STRANGE.search(match["text"]) or _is_read(word):
        return word
    again = f"{match['key']}={quoted(match['text'])}"
    return again if _is_read(again) else word


def _is_read(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True
