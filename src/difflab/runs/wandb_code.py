"""Code and configuration of a run as a W&B artifact, without secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import wandb

from difflab.reading import read_text
from difflab.runs.attempts import run_id
from difflab.runs.directory import RunDirectory
from difflab.runs.guarded import what
from difflab.runs.identity import code_of

_log = logging.getLogger(__name__)

_SECRET = r"(?:api_?key|\w*_key|\w*token|\w*secret|passw\w*|credentials?)"
_KEY = re.compile(_SECRET, re.IGNORECASE)
_SAID = re.compile(rf"(?i)(\b{_SECRET}[\"']?\s*[=:]\s*)(?!null\b|\(set\))[^\s,}}'\"]+")
_IN_ADDRESS = re.compile(r"(://)[^/@\s]+@")


def without_secrets(node: Any) -> Any:
    """Plain containers with "(set)" in place of texts that a key calls a key, token or password, and of logins in addresses."""
    if isinstance(node, Mapping):
        return {
            key: "(set)" if isinstance(value, str) and value and _KEY.fullmatch(str(key)) else without_secrets(value)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [without_secrets(value) for value in node]
    return _text_without_secrets(node) if isinstance(node, str) else node


def code_artifact(run: RunDirectory, config: Mapping[str, Any]) -> Any | None:
    """The artifact `source-<identity>` of type source.

    It has config.yaml, protocol.json, provenance.json (versions, commits, what was changed since: of every start), and below code/ the
    modules of the user's own that the configuration names, with those that they import.

    What cannot be read is a warning, and there is no artifact.

    Args:
        run: As `begin` has written it.
        config: Of the run, plain.
    """
    try:
        artifact = wandb.Artifact(f"source-{run_id(run.path)}", "source")  # W&B keeps the type code for itself
        for file in (run.config, run.protocol, run.provenance):
            if file.exists():
                with artifact.new_file(file.name, encoding="utf-8") as copy:
                    copy.write(_text_without_secrets(read_text(file)))
        for module, file in sorted(code_of(config).sources.items()):
            name = f"code/{module.replace('.', '/')}{'/__init__' if file.stem == '__init__' else ''}{file.suffix}"
            artifact.add_file(str(file), name=name)
    except (ValueError, OSError) as error:
        _log.warning("W&B does not get the code of %s: %s", run.path, what(error))
        return None
    return artifact


def _text_without_secrets(text: str) -> str:
    return _IN_ADDRESS.sub(r"\1(set)@", _SAID.sub(r"\1(set)", text))
