"""What the end of a process tells whoever started it."""

REQUEUE_EXIT_CODE = 75
"""EX_TEMPFAIL: the run was saved and wants to be started again by the same command."""

BUSY_EXIT_CODE = 5
"""Another process is working on the run: there was nothing to do."""
