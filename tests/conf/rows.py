"""The files of conf/experiment, and how rows are compared."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

FOLDER = Path(__file__).parents[2] / "conf" / "experiment"
NAMES = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in sorted(FOLDER.rglob("*.yaml"))]
CLASSIFIERS = [name for name in NAMES if "classifier" in name]
"""Held to their own rules in test_classifier_experiments.py."""
POINTS = ["swiss_roll", "flow/swiss_roll"]
"""Held to their own rules in test_points_experiments.py."""
BITS = ["digits_binary", "heartbeat"]
"""Held to their own rules in test_binary_experiments.py."""
ONE_PASS = [name for name in NAMES if name.startswith("rivals/")]
"""Held to their own rules in tests/rivals."""
DRAWING = [name for name in NAMES if name not in (*CLASSIFIERS, *POINTS, *BITS, *ONE_PASS)]


def header(name: str) -> list[str]:
    """The comment lines at the head of an experiment's file."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]


def flat(config: DictConfig) -> dict[str, Any]:
    """Dotted key -> value of everything that says how to train and evaluate."""
    values: dict[str, Any] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else key)
        else:
            values[path] = node

    resolved: Any = OmegaConf.to_container(config, resolve=True)
    resolved.pop("target")
    resolved.pop("module")  # refers to the others
    walk(resolved, "")
    return values


def changed(one: DictConfig, other: DictConfig) -> set[str]:
    a, b = flat(one), flat(other)
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
