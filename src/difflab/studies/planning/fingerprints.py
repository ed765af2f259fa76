"""What data, evaluations and given weights of a study's rows are, by which the identity of a run is known before it is built."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from difflab.checkpoints.initial import InitialWeights
from difflab.config.build import build
from difflab.config.resolved import ResolvedConfig, with_seed
from difflab.runs import identity
from difflab.runs.export import fingerprints


class Fingerprints:
    """What data and evaluations are, each asked once.

    Attributes:
        lacking: Why data could not be opened.
    """

    def __init__(self):
        self.lacking: str | None = None
        self._known: dict[str, str] = {}

    def of(self, node: Mapping[str, Any]) -> str:
        """The fingerprint of a part, as of data or of an evaluation."""
        return self._once(node, lambda: build(node).fingerprint)

    def identity(
        self, resolved: ResolvedConfig, seed: int, begins: Mapping[str, Any] | None = None, folder: Path = Path()
    ) -> str:
        """Of a run.

        Args:
            resolved: Its configuration, with another seed.
            seed: The seed.
            begins: The node `init_from` of the weights from which it begins; None for those that the seed draws.
            folder: Of the directories of runs of its name.
        """
        config = resolved.config
        return identity(
            with_seed(resolved, seed),
            self.of(config["data"]),
            self.of(config["evaluation"]),
            initial=self.initial(begins, folder),
            frozen={**self.frozen(config["objective"]), **self.frozen(config.get("space") or {})},
        )

    def initial(self, node: Mapping[str, Any] | None, folder: Path) -> str:
        """Of the weights from which training starts; "" for those that the seed draws."""
        return self._once([node, str(folder)], lambda: InitialWeights(build(node), folder).fingerprint) if node else ""

    def frozen(self, node: Mapping[str, Any]) -> dict[str, str]:
        """Name -> fingerprint of the models that an objective or a space brings along."""
        if not any(
            isinstance(part, Mapping) and part.keys() & {"checkpoint", "first_stage"} for part in [node, *node.values()]
        ):
            return {}
        found = self._once(node, lambda: "\n".join(map(" ".join, fingerprints(build(node).models).items())))
        return {name: value for name, _, value in (line.partition(" ") for line in found.splitlines())}

    def _once(self, of: Any, ask: Callable[[], str]) -> str:
        key = json.dumps(of, sort_keys=True)
        if key not in self._known:
            try:
                self._known[key] = ask()
            except (ValueError, OSError, ImportError) as error:
                self.lacking = self.lacking or " ".join(str(error).split())
                self._known[key] = "not at hand"
        return self._known[key]
