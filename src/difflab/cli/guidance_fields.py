"""What of a number's protocol the guidance is, and the user's own code that draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difflab.foreign_code import foreign_code
from difflab.guidance import Guidance
from difflab.runs.export import weights_sha256


def guidance_fields(config: Mapping[str, Any], guidances: Mapping[str, Guidance]) -> dict[str, Any]:
    """The guidances' configuration, where a network that one brings along is named by its weights and not by where they lie; of several
    also in which order they lie around the model, which the names of fields do not tell.

    config      name -> node, plain and resolved
    guidances   what was made of it
    """
    fields = {
        name: {**node, **{part: {"weights_sha256": weights_sha256(model.state_dict())} for part, model in brought}}
        for name, node in config.items()
        for brought in [guidances[name].models.items()]
    }
    return {"guidance": fields} | ({"guidance_order": ", ".join(fields)} if len(fields) > 1 else {})


def code_fields(*nodes: Any) -> dict[str, Any]:
    """Module -> hash of code of the user's own that these nodes name; nothing where there is none.

    Args:
        nodes: Of what draws images, plain and resolved.
    """
    code = foreign_code(*nodes).fingerprints()
    return {"code": code} if code else {}
