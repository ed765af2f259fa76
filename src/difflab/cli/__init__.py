"""Compose -> instantiate -> run. The only place that sees a DictConfig."""

import io
import sys

if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(
        errors="replace"
    )  # a terminal or file that has no ± gets a question mark, and not a traceback
