"""How sample.py and evaluate.py end where they do not come to their end: a line of one process, and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from difflab.cli.entry import end, ended_together, fail


@contextmanager
def ends_in_a_line(place: str = "") -> Iterator[None]:
    """Errors of drawing and measuring become a line and an exit status; being stopped asks for the same command again.

    Args:
        place: Where the images lie, said before the line of a command that was stopped; "" for nowhere in particular.
    """
    from hydra.errors import InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    from difflab.config.build import cause
    from difflab.runs.agreement import OlderStateError
    from difflab.runtime import REQUEUE_EXIT_CODE, launched_rank
    from difflab.sampling import SamplingError, SamplingStopped

    with ended_together():
        try:
            yield
        except SamplingStopped as reason:
            if launched_rank() == 0:
                print(f"{place}: {reason}" if place else f"{reason}", file=sys.stderr)
            sys.exit(REQUEUE_EXIT_CODE)
        except SamplingError as error:  # of all processes
            end(" ".join(str(error).split()), 2, speaks=launched_rank() == 0)
        except (ValueError, OSError, ImportError, OmegaConfBaseException) as error:
            fail(" ".join(str(error).split()))
        except OlderStateError as error:
            fail(str(error), 1)
        except InstantiationException as error:
            fail(cause(error))
