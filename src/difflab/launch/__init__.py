"""How and where processes run, and what ends them early."""

from difflab.launch.interruption import REQUEUE_EXIT_CODE, Interrupted, Interruption

__all__ = ["REQUEUE_EXIT_CODE", "Interrupted", "Interruption"]
