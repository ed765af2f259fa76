"""The words of a command that hold for one stage of a cascade: stage.1.steps=25.

What stands behind stage.<number>. is a word as sample.py knows it, groups included: stage.0.sampler=ddim, stage.0.sampler.eta=1,
'stage.0.guidance=[clip,classifier]'. Words without it hold for all stages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from difflab.cli.check import ConfigError
from difflab.cli.readable_words import quoted

OF_A_STAGE = (
    "batch_size",
    "ema",
    "eta",
    "flags",
    "guidance",
    "level",
    "precision",
    "quantization",
    "sampler",
    "scale",
    "steps",
    "track",
)
"""What may differ between stages."""

_STAGE = re.compile(r"stage\.(?P<rest>.+)", re.DOTALL)
_NUMBERED = re.compile(r"(?P<number>\d+)\.(?P<word>(?P<key>[^.=/@]+)[^=]*=.*)", re.DOTALL)


def gathered(words: Sequence[str]) -> list[str]:
    """A command's words with those of stages in one that Hydra can read: stage=["0.steps=250","1.steps=25"]."""
    found = [match["rest"] for word in words if (match := _STAGE.fullmatch(word))]
    if not found:
        return list(words)
    others = [word for word in words if not _STAGE.fullmatch(word)]
    return [*others, f"stage=[{','.join(map(quoted, found))}]"]


def of_first_stage(words: Sequence[str]) -> list[str]:
    """A command's words as they would be if its first stage were all."""
    found = []
    for word in words:
        match = _STAGE.fullmatch(word)
        if match is None and word.partition("=")[0] != "stages":
            found.append(word)
        elif match is not None and match["rest"].startswith("0."):
            found.append(match["rest"].removeprefix("0."))
    return found


def stage_words(given: Sequence[str], count: int) -> list[list[str]]:
    """The words of each of `count` stages. A ConfigError says what is wrong with one.

    given   without their beginning: 1.steps=25
    """
    found: list[list[str]] = [[] for _ in range(count)]
    for text in given:
        match = _NUMBERED.fullmatch(text)
        if match is None:
            raise ConfigError(f"stage.{text}: expected stage.<number>.<key>=<value>, as stage.1.steps=25")
        number, key = int(match["number"]), match["key"]
        if number >= count:
            there_are = (
                f"there are {count} stages, 0 to {count - 1}"
                if count
                else "there are no stages: give stages=[BASE,UPSAMPLER]"
            )
            raise ConfigError(f"stage.{text}: {there_are}")
        if key not in OF_A_STAGE:
            raise ConfigError(
                f"stage.{text}: a stage can have its own {', '.join(OF_A_STAGE)}. All else is of the whole: leave `stage.{number}.` out"
            )
        found[number].append(match["word"])
    return found
