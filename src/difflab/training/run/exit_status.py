"""How training ends: what stops it early becomes an exit status and a line for the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LOST = (
    "onnection reset by peer",
    "onnection closed by peer",
    "Broken pipe",
    "NCCL error",
    "remote process exited",
    "imed out waiting",
)
"""What gloo and NCCL say where a process with which they speak has died."""


@dataclass(frozen=True)
class Outcome:
    """How a start ended.

    name       complete, interrupted, went back, diverged, failed, or lost: the run's directory is not this process's any more
    exit_code  75 asks to be started again
    give_up    how many checkpoints a run that goes back leaves behind
    early      of a complete run that a callback has ended before its last step: where, and why
    """

    name: str
    message: str = ""
    exit_code: int = 0
    give_up: int = 0
    early: str = ""


def fit(trainer: Any, module: Any, data: Any, checkpoint: Any) -> Outcome:
    """Trains; what ends training early becomes an outcome."""
    from difflab.data import DataError
    from difflab.files import WriteError, has_no_room
    from difflab.launch.slurm import record_end
    from difflab.runs import CheckpointError, RunLostError
    from difflab.runs.checkpoints import step_of
    from difflab.runtime import REQUEUE_EXIT_CODE, Interrupted
    from difflab.training.callbacks import Diverged, WentBack

    again = "run the same command again to go on"
    # Lightning's own handler of SIGTERM speaks to the other processes in the middle of whatever they do
    trainer._signal_connector.register_signal_handlers = lambda: None
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except Interrupted as reason:
        return Outcome("interrupted", f"stopped by {reason}; {again}", REQUEUE_EXIT_CODE)
    except WentBack as reason:
        return Outcome("went back", f"{reason}; {again}", REQUEUE_EXIT_CODE, give_up=reason.checkpoints)
    except Diverged as reason:
        return Outcome("diverged", f"{reason}; {_good_checkpoint(trainer)}", exit_code=3)
    except (CheckpointError, WriteError) as reason:
        return Outcome("failed", str(reason), exit_code=4)
    except RunLostError as reason:
        return Outcome("lost", str(reason), exit_code=4)
    except ModuleNotFoundError as error:
        return Outcome("failed", f"{' '.join(str(error).split())}: install it, or leave out what needs it", exit_code=2)
    except DataError as reason:
        record_end(2, trainer.global_step or None, f"DataError: {reason}", local=of_this_machine(reason))
        last = _last_good(trainer)
        if last is None or not trainer.is_global_zero:
            raise
        return Outcome(
            "failed",
            f"{reason} The run is saved up to step {step_of(last)}: with the data as they were the same command goes on from there; "
            "with other data it is another run and begins at step 0",
            exit_code=2,
        )
    except RuntimeError as error:
        record_end(1, trainer.global_step or None, f"{type(error).__name__}: {error}")
        if trainer.world_size > 1 and any(sign in str(error) for sign in LOST):
            lost = f"another process of this run has ended, does not answer, or its machine is out of reach ({_first_line(error)})"
            return Outcome("failed", f"{lost}; {again}", exit_code=1)
        raise
    except OSError as error:
        if has_no_room(error):  # for a file that a library writes
            return Outcome("failed", str(WriteError.of(error.filename or trainer.default_root_dir, error)), exit_code=4)
        record_end(1, trainer.global_step or None, f"{type(error).__name__}: {error}")
        raise
    except BaseException as error:
        record_end(1, trainer.global_step or None, f"{type(error).__name__}: {error}")
        raise
    finally:
        trainer.fit_loop.teardown()  # ends the data workers, of which Lightning forgets those of an evaluation that has failed
    return Outcome("complete", early=_early_end(trainer))


def _early_end(trainer: Any) -> str:
    from difflab.runs.checkpoints import ended_early

    if not ended_early(trainer):
        return ""
    reasons = [one.stopping_reason_message for one in trainer.early_stopping_callbacks if one.stopping_reason_message]
    why = reasons[0].partition(" Signaling Trainer")[0].rstrip(".") if reasons else "a callback ended training"
    return f"stopped early at step {trainer.global_step} of {trainer.max_steps}: {why}"


def of_this_machine(error: BaseException) -> bool:
    """Whether the system refused something, which it may do on this machine alone, as a file that is not there."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:160]


def _good_checkpoint(trainer: Any) -> str:
    last = _last_good(trainer)
    return "there is no checkpoint from before" if last is None else f"the last good checkpoint is {last}"


def _last_good(trainer: Any) -> Any:
    """The newest whole checkpoint of the run."""
    from difflab.runs import newest

    return newest(f"{trainer.default_root_dir}/checkpoints")
