"""What libraries say: less of it, in plain lines, and once for all processes."""

from __future__ import annotations

import logging
import sys
import warnings


class PlainLines(logging.Handler):
    """Prints messages as "warning: ..." to what the standard output is at that time: above a line of progress, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            kind = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
            trace = f"\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else ""
            print(f"{kind}{text}{trace}", flush=True)
        except Exception:
            self.handleError(record)


_said = set[str]()
"""Warnings that have been given since the command, or this row of a sweep, began."""


def _say_once(message: Warning | str, *_: object, **__: object) -> None:
    """Without the line of code that gave it. (Python's own `once` begins anew whenever somebody changes a filter.)"""
    if str(message) not in _said:
        _said.add(str(message))
        print(f"warning: {message}", file=sys.stderr, flush=True)


def quiet_lightning() -> None:
    """Lightning speaks of devices, hooks, loaders and products at length; its warnings stay, and the first process says them for all."""
    from difflab.runtime.rank import launched_rank

    for name in ("lightning_fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it cannot find is raised as well
    for message in (
        ".*isinstance.treespec, LeafSpec.*",
        ".*does not have many workers.*",
        ".*`srun` command is available.*",
        ".*sync_dist=True.*",  # metrics are sums over all processes already
    ):
        warnings.filterwarnings("ignore", message=message)
    _said.clear()
    warnings.showwarning = _say_once
    if launched_rank() > 0:
        warnings.simplefilter("ignore")
        logging.getLogger("difflab").setLevel(logging.ERROR)
