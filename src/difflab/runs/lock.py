"""One process at a time works on a run, and what happens when a run is renamed or removed while it is trained."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from difflab.files import WriteError, make_folder
from difflab.runs.holder import Holder
from difflab.runtime.process import BUSY_EXIT_CODE

_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_SETTLING = 2.0
"""Seconds after which, without flock, two that took a run at the same moment have seen each other."""


class RunBusyError(RuntimeError):
    """Another process is working on the run.

    Attributes:
        exit_code: Of a command that finds it so and has nothing to do.
    """

    exit_code = BUSY_EXIT_CODE


class RunLostError(RuntimeError):
    """The directory of the run is gone, or another process has taken the run over."""


class RunLock:
    """Two signs that a process works on a run, each enough to keep others away.

    <run>/lock       the operating system's lock (flock), which ends with the process however that ends
    <run>/lock.json  who holds it; touched every `beat` seconds. It counts where there is no flock, or one that other machines do not see: a
                     holder on this machine is looked up by its number and beginning, one elsewhere is watched for `timeout` seconds

    A SLURM job that was requeued since its node no longer answers takes the lock over from its own earlier start, which may be frozen
    and not dead; should that wake up, it finds itself replaced and stops.
    """

    def __init__(self, directory: str | Path, grace: float = 15.0, beat: float = 5.0, timeout: float = 30.0):
        """Nothing is done yet.

        Args:
            directory: Of the run.
            grace: Seconds to wait for a dead holder's remains (its data workers share the lock until they notice).
            beat: Seconds between two touches.
            timeout: Seconds without a touch after which a holder on another machine counts as dead.
        """
        self.directory = Path(directory)
        self.grace, self.beat, self.timeout = grace, beat, timeout
        self._lock, self._note = self.directory / "lock", self.directory / "lock.json"
        self._file: int | None = None
        self._me: Holder | None = None
        self._looked = 0.0
        self._released = threading.Event()

    def acquire(self) -> None:
        """Takes the lock, also over from a dead process.

        Raises:
            RunBusyError: A living one holds it; the message says which.
            WriteError: The directory cannot be written.
        """
        make_folder(self.directory)
        me = Holder.me()
        try:
            self._file, exclusive = self._locked(me)
        except OSError as error:
            raise WriteError.of(self._lock, error) from error
        try:
            self._check_note(me, exclusive)
            me.write(self._note)
            if not exclusive:
                time.sleep(min(_SETTLING, self.timeout / 2))
                if (other := Holder.read(self._note)) != me:
                    raise self._busy(other)
        except BaseException:
            self._close()
            raise
        self._me = me
        self._released.clear()
        threading.Thread(target=self._touch, name="run lock", daemon=True).start()

    def release(self) -> None:
        """Gives the run back."""
        self._released.set()
        if self._me and Holder.read(self._note) == self._me:
            self._note.unlink(missing_ok=True)
        self._me = None
        self._close()

    def check(self) -> None:
        """Looks, once in a second at most, whether the run is still this process's.

        Raises:
            RunLostError: It is not.
        """
        if time.monotonic() - self._looked < 1:
            return
        self._looked = time.monotonic()
        if why := self.lost():
            raise RunLostError(why)

    def lost(self) -> str:
        """Why the run is this process's no more, "" if it is or never was."""
        holder = Holder.read(self._note)
        if self._me in (None, holder):
            return ""
        if holder is not None:
            return f"{holder} has taken {self.directory} over: this process stops, the other goes on"
        if self._note.exists() or self._lock.exists():  # lock.json alone was removed, or cannot be read at the moment
            return ""
        return (
            f"{self.directory} was renamed or removed while this process trained: put it back under this name and run the same "
            "command again. What is saved in it is intact"
        )

    def is_held(self) -> bool:
        """Whether some process holds the lock. Writes nothing."""
        try:
            file = os.open(self._lock, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError:
            return self._is_fresh()
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in _NO_FLOCK or self._is_fresh()
        finally:
            os.close(file)
        holder = Holder.read(self._note)
        return holder is not None and bool(holder.token) and self._is_fresh()

    def _locked(self, me: Holder) -> tuple[int, bool]:
        """(the open lock file, whether the operating system keeps others away from it)."""
        began = time.monotonic()
        while True:
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink:
                    return file, True
            except OSError as error:
                if error.errno in _NO_FLOCK:
                    return file, False
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    os.close(file)
                    raise
            os.close(file)
            waited, holder = time.monotonic() - began, Holder.read(self._note)
            if holder and holder.is_earlier_start(me):
                if waited > self.grace:
                    self._lock.unlink(missing_ok=True)
            elif waited > self.grace or (waited > min(1, self.grace) and not (holder and holder.lives() is False)):
                raise self._busy(holder)
            time.sleep(0.1)

    def _check_note(self, me: Holder, exclusive: bool) -> None:
        """Raises a RunBusyError if lock.json names a living process other than an earlier start of this job."""
        holder = Holder.read(self._note)
        if holder is None or holder.is_earlier_start(me):
            return
        lives = holder.lives()
        if lives is None and exclusive and not holder.token:
            return  # of an earlier version, which knew flock only
        if lives is None:
            print(
                f"{self.directory}: {holder} held the run last; looking for {self.timeout:.0f} s whether it still does",
                file=sys.stderr,
            )
            lives = self._is_touched(holder)
        if lives:
            raise self._busy(holder)

    def _is_touched(self, holder: Holder) -> bool:
        """Watches lock.json; the clocks of other machines are not asked."""
        first, until = self._touched(), time.monotonic() + self.timeout
        while time.monotonic() < until:
            if Holder.read(self._note) != holder:
                return self._note.exists()
            if self._touched() != first:
                return True
            time.sleep(self.beat / 5)
        return False

    def _is_fresh(self) -> bool:
        """Whether lock.json names a process that lives here, or was touched lately by one elsewhere."""
        holder = Holder.read(self._note)
        lives = holder.lives() if holder else False
        return abs(time.time() - (self._touched() or 0.0)) < 2 * self.timeout if lives is None else lives

    def _touched(self) -> float | None:
        with suppress(OSError), self._note.open("rb") as file:  # opened, so that a network file system looks anew
            return os.fstat(file.fileno()).st_mtime
        return None

    def _touch(self) -> None:
        me = self._me
        while not self._released.wait(self.beat):
            with suppress(OSError):
                if Holder.read(self._note) == me:
                    os.utime(self._note)

    def _busy(self, holder: Holder | None) -> RunBusyError:
        return RunBusyError(
            f"{self.directory} is being worked on by {holder or 'another process'}: wait for it or stop it. For a second, independent "
            "run of the same command set run.restart=true"
        )

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
