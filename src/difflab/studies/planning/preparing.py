"""The run that a study trains before its rows are drawn, and its directory in what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from difflab.config.keys import ConfigError
from difflab.config.paths import search_words
from difflab.config.resolve import resolve_row
from difflab.studies.nodes import StudyError
from difflab.studies.planning.fingerprints import Fingerprints
from difflab.studies.planning.plan import Training, of_family
from difflab.studies.prepared import PREPARED, REFERENCE
from difflab.studies.spec import Study


class Prepared:
    """The training of a study's `prepare`, once for all seeds: what rows are drawn with is not what they differ in.

    Args:
        study: With a preparation.
        extra: Overrides of train.py that the command gives.
        prints: Know what data are.
    """

    def __init__(self, study: Study, extra: Sequence[str], prints: Fingerprints):
        assert study.prepare is not None
        asked = study.prepare
        try:
            resolved = resolve_row((f"+experiment={asked.experiment}", *asked.overrides, *extra, "seed=0"))
        except ConfigError as error:
            raise StudyError(f"prepare: {error}") from error
        config = resolved.config
        name = f"{study.name}/{PREPARED}"
        folder = Path(str(config["run"]["root"])) / name
        identity = prints.identity(resolved, 0, config.get("init_from"), folder)
        project = (f"logger.wandb.project={study.project}",) if "wandb" in config["logger"] else ()
        self.training = Training(
            number=0,
            name=name,
            seed=0,
            identity=identity,
            parent=of_family(study, folder, identity, 0),
            overrides=(*search_words(), *resolved.overrides, *project, f"run.name={name}"),
            steps=config["trainer"]["max_steps"],
        )

    def trainings(self, first: int) -> tuple[Training]:
        """The run, with its number."""
        return (replace(self.training, number=first),)

    def drawn(self, words: Sequence[str]) -> tuple[str, ...]:
        """Overrides of evaluate.py with the run's directory."""
        return tuple(word.replace(REFERENCE, str(self.training.directory.resolve())) for word in words)

    def named(self, words: Sequence[str]) -> tuple[str, ...]:
        """The same with its identity, which stays where the runs are moved."""
        return tuple(word.replace(REFERENCE, self.training.identity) for word in words)
