"""The trunk of a study with a fork: the runs that are trained first, and what its rows are told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from difflab.checkpoints.continued import unusable
from difflab.config.keys import ConfigError
from difflab.config.paths import config_files, search_words
from difflab.config.resolve import resolve_row
from difflab.config.resolved import ResolvedConfig
from difflab.studies.fork import TRUNK, Fork
from difflab.studies.nodes import StudyError, there_are
from difflab.studies.planning.facts import RowFacts
from difflab.studies.planning.plan import Training
from difflab.studies.spec import Study

LENGTH = "${trainer.max_steps}"
"""Reference of what is as long as training: in the trunk as in the row whose first steps it trains."""


class Trunk:
    """What rows of a study have in common.

    Args:
        study: With a fork.
        command: Row or experiment -> its command line of train.py, but for seed and names.
        identify: (resolved configuration, seed) -> identity of the run.
    """

    def __init__(
        self,
        study: Study,
        command: Callable[[str], Sequence[str]],
        identify: Callable[[ResolvedConfig, int], str],
    ):
        assert study.fork is not None
        self.study = study
        self.fork: Fork = study.fork
        if self.fork.source not in study.rows and self.fork.source not in config_files("experiment"):
            known = [*study.rows, *config_files("experiment")]
            raise StudyError(
                f"fork.from = {self.fork.source}: {there_are(self.fork.source, known, 'row or experiment')}"
            )
        self.name = f"{study.name}/{TRUNK}"
        try:
            words = command(self.fork.source)
            whole = resolve_row((*words, f"seed={study.seeds[0]}"))
            if self.fork.at >= whole.config["trainer"]["max_steps"]:
                raise ConfigError(
                    f"fork.at = {self.fork.at}: the rows train {whole.config['trainer']['max_steps']} steps, and go on before their end"
                )
            as_long = [
                f"{key}={whole.config['trainer']['max_steps']}" for key, raw in whole.derived.items() if raw == LENGTH
            ]
            self.words = (*words, *as_long, f"trainer.max_steps={self.fork.at}")
            self.config = resolve_row((*self.words, f"seed={study.seeds[0]}"))
        except ConfigError as error:
            raise StudyError(f"fork: {error}") from error
        self.parent = Path(str(self.config.config["run"]["root"])) / self.name
        self._identities = {seed: identify(self.config, seed) for seed in study.seeds}

    def trainings(self, first: int) -> list[Training]:
        """A run of each seed.

        Args:
            first: Number of the first one.
        """
        command = [word for word in self.config.overrides if not word.startswith("seed=")]
        logger = self.config.config["logger"]
        project = (f"logger.wandb.project={self.study.project}",) if "wandb" in logger else ()
        return [
            Training(
                number=first + i,
                name=self.name,
                seed=seed,
                identity=identity,
                parent=self.parent,
                overrides=(*search_words(), *command, *project, f"run.name={self.name}", f"seed={seed}"),
                steps=self.fork.at,
            )
            for i, (seed, identity) in enumerate(self._identities.items())
        ]

    def identity(self, seed: int) -> str:
        return self._identities[seed]

    def state(self, seed: int) -> str:
        """What `init_from` names: the trunk of a seed at the fork."""
        return f"{self.parent / f'seed{seed}-{self._identities[seed]}'}@{self.fork.at}"

    def continued(self, words: Sequence[str], seed: int) -> tuple[str, ...]:
        """A row's command line that goes on from the trunk. A ConfigError if it begins with something else."""
        for word in words:
            if word.lstrip("+").startswith("init_from"):
                raise ConfigError(f"{word}: the study's fork says what its rows go on from; leave one of them out")
        return (*words, f"init_from={self.state(seed)}", "init_from.state=true")

    def of_seed(self, words: Sequence[str], seed: int) -> list[str]:
        """A command line of another seed as that of this one."""
        return [f"init_from={self.state(seed)}" if word.startswith("init_from=") else word for word in words]

    def check(self, row: ResolvedConfig, facts: RowFacts) -> None:
        """Raises a ConfigError for a row that the trunk's state does not fit; it names the key."""
        mine, own = (
            {name: tuple(v.shape) for name, v in facts.network(one).state_dict().items()} for one in (self.config, row)
        )
        if wrong := unusable(self.config.config, row.config, mine, own):
            raise ConfigError(f"it cannot go on from the trunk at step {self.fork.at}: {wrong}")
        if self.fork.at >= row.config["trainer"]["max_steps"]:
            raise ConfigError(
                f"trainer.max_steps={row.config['trainer']['max_steps']}: the fork is at step {self.fork.at}, and nothing is left to train"
            )
