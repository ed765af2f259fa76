"""The commands: each parses its words, has config/ compose and check them, calls and prints."""

import io
import sys

if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(
        errors="replace"
    )  # a terminal or file that has no ± gets a question mark, and not a traceback
