"""The headers of ADM's models name the commands of the published guided numbers: evaluate.py takes them, at the paper's scales."""

import re
import shlex
from pathlib import Path

from difflab.config.keys import compose_or_explain, composing
from one_pass import each

FOLDER = Path(__file__).parents[2] / "conf" / "experiment" / "adm"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.yaml")) if path.stem.startswith(("imagenet", "lsun"))]

SCALES = {  # classifier scale -> what the header says of it: tables 4, 5 and 14 (Dhariwal and Nichol 2021)
    "imagenet128": {0.5: "FID 2.97", 1.25: "FID 5.98"},
    "imagenet256": {1.0: "FID 4.59", 2.5: "FID 5.44"},
    "imagenet256_uncond": {10.0: "FID 12.0"},
    "imagenet512": {4.0: "FID 7.72", 9.0: "FID 8.41"},
}


def commands(name: str) -> list[tuple[list[str], str]]:
    """(overrides of evaluate.py, what is said below the command)."""
    lines = [
        line[2:] for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines() if line.startswith("# ")
    ]
    text = "\n".join(line[10:] for line in lines[1:])
    found = []
    for part in text.split("python evaluate.py ")[1:]:
        words = part.split("\n")
        command = [words.pop(0)]
        while words and "=" in words[0].split()[0]:
            command.append(words.pop(0))
        found.append((shlex.split(" ".join(command)), " ".join(words)))
    return found


@each("name", [name for name in NAMES if name != "imagenet64"])
def test_evaluate_takes_the_commands_of_a_header(name):
    assert commands(name)
    for overrides, below in commands(name):
        with composing():
            config = compose_or_explain("evaluate", overrides)
        assert config.num_samples == 50000
        if name.startswith("lsun"):
            assert sum(map(int, config.steps.split(","))) == 250
            continue
        kind = next(iter(set(config.guidance) - {"clip"}))
        assert list(config.guidance) == ["clip", kind], "clipped before it is guided, as in the published code"
        assert config.guidance[kind].classify.checkpoint == "CLASSIFIER"
        assert kind == ("classifier" if config.steps == "ddim25" else "mean_shift_at_image")
        (scale,) = re.findall(r"classifier scale ([\d.]+)\)", below.split(";")[0])
        assert config.scale == float(scale) + 1
        assert SCALES[name][float(scale)] in below


def test_every_scale_of_the_tables_stands_in_a_header():
    for name, scales in SCALES.items():
        assert {config - 1 for overrides, _ in commands(name) for config in scale_of(overrides)} == set(scales)


def scale_of(overrides: list[str]) -> list[float]:
    return [float(word.removeprefix("scale=")) for word in overrides if word.startswith("scale=")]
