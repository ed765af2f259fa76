"""Code, configuration and weights of a run as W&B artifacts."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import wandb

from difflab.files import atomic_folder, link, write_json
from difflab.reading import FileError, read_json, read_text
from difflab.runs.directory import RunDirectory
from difflab.runs.export import export_all, read_header, read_run
from difflab.runs.identity import code_of
from difflab.runs.listing import identity_of, run_id
from difflab.runs.loggers import what
from difflab.runs.metrics_file import rows_from_end
from difflab.runs.saved_checkpoints import saved, step_of

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


LogModel = bool | Literal["best", "all"]
"""Which weights are sent: those of the finished run, of its best checkpoint, or of every checkpoint; in Lightning's words."""


class ModelVersions:
    """The versions of the artifact `model-<run id>`: what W&B lacks is found from the run directory, so no version goes up twice.

    A version has <track>.safetensors of the online weights and each EMA track. Its aliases are latest, step-<N>, the names of the tracks,
    and best for the checkpoint of best.ckpt. The files are in <run>/wandb/models/step-<N>/: of the finished run they are second names of
    those in weights/, which need no room. W&B uploads them from there and copies nothing; they go when they are uploaded. Those of an
    offline start stay for `wandb sync`.

    Args:
        run: Whose weights.
        which: Of its checkpoints.
    """

    def __init__(self, run: RunDirectory, which: LogModel):
        self.run = run
        self.which = which
        self._folder = run.path / "wandb" / "models"
        self._sent: dict[int, list[str]] = {}

    @property
    def bytes(self) -> int:
        """The size of what was sent since the last `keep`."""
        return sum(file.stat().st_size for step in self._sent for file in self._files(step))

    def lacking(self) -> list[int]:
        """Steps of the versions that W&B does not have yet, or not as the best."""
        if not self.which:
            return []
        ended = self._complete()
        best = self._best() if ended is not None else None
        wanted = {True: [ended], "best": [best], "all": [*map(step_of, saved(self.run.checkpoints)), ended, best]}[
            self.which
        ]
        steps = sorted({step for step in wanted if step is not None})
        return [step for step in steps if not self._has(step, ["best"] if step == best else [])]

    def send(self, experiment: Any) -> None:
        """Adds what is lacking to a W&B run. A checkpoint that training has removed meanwhile is named in a warning."""
        best = self._best()
        for step in self.lacking():
            try:
                self._prepare(step)
            except (FileError, OSError, ValueError) as error:
                _log.warning("W&B does not get the weights of step %d: %s", step, error)
                continue
            tracks = [file.stem for file in self._files(step)]
            aliases = ["latest", f"step-{step}", *(["best"] if step == best else []), *tracks]
            artifact = wandb.Artifact(f"model-{run_id(self.run.path)}", "model", metadata=self._about(step))
            for file in self._files(step):
                artifact.add_file(str(file.absolute()), name=file.name, policy="immutable")
            experiment.log_artifact(artifact, aliases=aliases)
            self._sent[step] = aliases

    def keep(self, uploaded: bool) -> None:
        """Notes that what was sent has arrived.

        Args:
            uploaded: At the server, and not in the file of an offline run: the copies of weights go.
        """
        for step, aliases in self._sent.items():
            write_json(self._mark(step), {"step": step, "aliases": aliases})
            if uploaded:
                shutil.rmtree(self._place(step), ignore_errors=True)
        self._sent = {}

    def forget(self) -> None:
        """What was sent has not arrived: it is lacking again."""
        self._sent = {}

    def _place(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"

    def _mark(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}.json"

    def _files(self, step: int) -> list[Path]:
        return sorted(self._place(step).glob("*.safetensors"))

    def _has(self, step: int, aliases: list[str]) -> bool:
        try:
            there = self._sent.get(step) or read_json(self._mark(step)).get("aliases")
        except (FileError, OSError):
            return False
        return isinstance(there, list) and set(aliases) <= set(map(str, there))

    def _prepare(self, step: int) -> None:
        """Puts the files of a version into its folder."""
        if self._files(step):
            return
        finished = [
            file for file in sorted(self.run.weights.glob("*.safetensors")) if read_header(file)["step"] == str(step)
        ]
        if step == self._complete() and finished:
            with atomic_folder(self._place(step)) as folder:
                for file in finished:
                    link(file, folder / file.name)
            return
        checkpoint = self.run.checkpoints / f"step-{step:08d}.ckpt"
        state = read_run(checkpoint if checkpoint.exists() else self.run.checkpoints / "best.ckpt")
        if state["global_step"] != step:
            raise ValueError(f"{checkpoint} is not there any more")
        config, data = self.run.config.read_text(encoding="utf-8"), self.run.starts()[-1].get("data", {})
        with atomic_folder(self._place(step)) as folder:
            export_all(folder, state, config, data)

    def _complete(self) -> int | None:
        """The last step of a finished run whose weights are written."""
        try:
            step = read_json(self.run.complete).get("step") if self.run.complete.exists() else None
        except FileError:
            return None
        return step if isinstance(step, int) else None

    def _best(self) -> int | None:
        best = self.run.checkpoints / "best.ckpt"
        try:
            same = [step_of(path) for path in saved(self.run.checkpoints) if path.samefile(best)]
            return same[0] if same else int(read_run(best)["global_step"])
        except (FileError, OSError, ValueError):
            return None

    def _about(self, step: int) -> dict[str, Any]:
        settings, protocols = self.run.settings(), self.run.protocols()
        scores = dict(self._scores(step))
        return {
            "identity": identity_of(self.run.path),
            "experiment": settings["run"]["name"],
            "seed": settings["seed"],
            "step": step,
            "weights_sha256": {file.stem: read_header(file).get("weights_sha256") for file in self._files(step)},
            "scores": scores,
            "protocol": {name: protocols.get(name, {}).get("fingerprint") for name in scores},
        }

    def _scores(self, step: int) -> Iterator[tuple[str, float]]:
        for row in rows_from_end(self.run.metrics) if self.run.metrics.exists() else ():
            if row["step"] < step:
                return
            if row["step"] == step:
                yield from ((name, value) for name, value in row.items() if name.startswith("eval/"))
