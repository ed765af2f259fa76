"""What every command needs of the machine before anything else."""

from __future__ import annotations

import os
import tempfile

from difflab.home import find_home


def check_surroundings() -> str | None:
    """Finds the process a home. Returns what is missing, and what to do about it; None if nothing is."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder is gone: change to one that exists (cd), and the same command again"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return "no folder for temporary files can be written: let $TMPDIR name one that can"
    find_home()
    return None
