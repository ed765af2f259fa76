"""Released models of other projects, named <format>:<path>: each format is a module of this package, found by its name."""

from difflab.checkpoints.released.formats import Released, ReleasedFormat, released

__all__ = ["Released", "ReleasedFormat", "released"]
