"""Runs trainer.fit, and maps what ends training early to an exit status and a line for the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from difflab.cluster.attempts import record_end
from difflab.data import DataError
from difflab.files import WriteError, has_no_room
from difflab.runs import CheckpointError, RunLostError, newest
from difflab.runs.checkpoints import ended_early
from difflab.runs.saved_checkpoints import step_of
from difflab.runtime import REQUEUE_EXIT_CODE, Interrupted
from difflab.training.callbacks import Diverged, RolledBack

if TYPE_CHECKING:
    import pytorch_lightning as pl

_PEER_LOST = (
    "onnection reset by peer",
    "onnection closed by peer",
    "Broken pipe",
    "NCCL error",
    "remote process exited",
    "imed out waiting",
)
"""What gloo and NCCL say where a process with which they speak has died."""

_AGAIN = "run the same command again to go on"


@dataclass(frozen=True)
class ExitStatus:
    """How a start ended.

    Attributes:
        name: complete, interrupted, went back, diverged, failed, or lost (the run's directory is not this process's any more), as
            provenance.json says it.
        message: Why, in one line; "" for a complete run.
        code: Of the process. 75 asks to be started again.
        rollback: How many checkpoints a run that diverged leaves behind.
        early: Of a complete run that a callback has ended before its last step: where, and why.
    """

    name: str
    message: str = ""
    code: int = 0
    rollback: int = 0
    early: str = ""


def fit(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path | None
) -> ExitStatus:
    """Trains from a checkpoint, or from the first step, to the last one.

    Returns:
        How training ended, where that is something a user can act upon.

    Raises:
        BaseException: Any other error, once the job's record names it.
    """
    # Lightning's own handler of SIGTERM speaks to the other processes in the middle of whatever they do
    trainer._signal_connector.register_signal_handlers = lambda: None
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        status = _status_of(error, trainer)
        if status is None:
            raise
        return status
    finally:
        trainer.fit_loop.teardown()  # ends the data workers, of which Lightning forgets those of an evaluation that has failed
    return ExitStatus("complete", early=_early_end(trainer))


def _status_of(error: BaseException, trainer: pl.Trainer) -> ExitStatus | None:
    """The exit status for an error that a user can act upon; None for a fault of the program."""
    match error:
        case Interrupted():
            return ExitStatus("interrupted", f"stopped by {error}; {_AGAIN}", REQUEUE_EXIT_CODE)
        case RolledBack():
            return ExitStatus("went back", f"{error}; {_AGAIN}", REQUEUE_EXIT_CODE, rollback=error.checkpoints)
        case Diverged():
            return ExitStatus("diverged", f"{error}; {_good_checkpoint(trainer)}", code=3)
        case CheckpointError() | WriteError():
            return ExitStatus("failed", str(error), code=4)
        case RunLostError():
            return ExitStatus("lost", str(error), code=4)
        case ModuleNotFoundError():
            what = " ".join(str(error).split())
            return ExitStatus("failed", f"{what}: install it, or leave out what needs it", code=2)
        case DataError():
            return _of_data(error, trainer)
        case OSError() if has_no_room(error):  # for a file that a library writes
            return ExitStatus("failed", str(WriteError.of(error.filename or trainer.default_root_dir, error)), code=4)
    record_end(1, trainer.global_step or None, f"{type(error).__name__}: {error}")
    if isinstance(error, RuntimeError) and trainer.world_size > 1 and any(sign in str(error) for sign in _PEER_LOST):
        said = str(error).partition("\n")[0][:160]
        lost = f"another process of this run has ended, does not answer, or its machine is out of reach ({said})"
        return ExitStatus("failed", f"{lost}; {_AGAIN}", code=1)
    return None


def _of_data(error: DataError, trainer: pl.Trainer) -> ExitStatus | None:
    record_end(2, trainer.global_step or None, f"DataError: {error}", local=of_this_machine(error))
    last = _last_good(trainer)
    if last is None or not trainer.is_global_zero:
        return None
    return ExitStatus(
        "failed",
        f"{error} The run is saved up to step {step_of(last)}: with the data as they were the same command goes on from there; "
        "with other data it is another run and begins at step 0",
        code=2,
    )


def of_this_machine(error: BaseException) -> bool:
    """Whether the system refused something, which it may do on this machine alone, as a file that is not there."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _early_end(trainer: pl.Trainer) -> str:
    if not ended_early(trainer):
        return ""
    reasons = [one.stopping_reason_message for one in trainer.early_stopping_callbacks if one.stopping_reason_message]
    why = reasons[0].partition(" Signaling Trainer")[0].rstrip(".") if reasons else "a callback ended training"
    return f"stopped early at step {trainer.global_step} of {trainer.max_steps}: {why}"


def _good_checkpoint(trainer: pl.Trainer) -> str:
    last = _last_good(trainer)
    return "there is no checkpoint from before" if last is None else f"the last good checkpoint is {last}"


def _last_good(trainer: pl.Trainer) -> Path | None:
    """The newest whole checkpoint of the run."""
    return newest(f"{trainer.default_root_dir}/checkpoints")
