"""What is known of a run: `difflab info <run directory>`."""

from __future__ import annotations

import sys

from difflab.strict_json import dumps


def main() -> None:
    """The command line of `difflab info`."""
    from difflab.cli.entry import arguments, fail
    from difflab.runtime.memory import end_at_once, spared

    end_at_once()
    with spared():
        from difflab.runs.info import as_text, info
        from difflab.runs.names import found_run

    paths = [argument for argument in arguments() if not argument.startswith("-")]
    if len(paths) != 1:
        print("usage: difflab info <run directory> [--json]")
        sys.exit(2)
    try:
        facts = info(found_run(paths[0]))
    except ValueError as error:
        fail(str(error))
    print(dumps(facts, indent=2) if "--json" in sys.argv else as_text(facts))
