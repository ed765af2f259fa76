"""The environment of nobody in particular, in which all tests run: what a user, a shell or a job has set is not what is tested.

A home of its own keeps the tests off the user's caches, weights and W&B login, and works where there is no home at all. `GIVEN` is what
the environment was.
"""

import atexit
import contextlib
import os
import shutil
import site
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOREIGN = (
    *(
        "DIFFLAB_",
        "WANDB_",
        "HYDRA_",
        "SLURM_",
        "SBATCH_",
        "SRUN_",
        "SQUEUE_",
        "SCONTROL_",
        "SUBMITIT_",
        "TORCHELASTIC_",
    ),
    *("PL_", "HF_", "XDG_", "MALLOC_", "GLIBC_TUNABLES", "TORCH_HOME", "TORCHINDUCTOR_", "MPL", "NETRC", "GIT_"),
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "PYTHONWARNINGS", "PYTHONOPTIMIZE"),
)
"""How the names of variables begin that change what difflab or a library of it does."""

GIVEN = dict(os.environ)


def enter() -> str:
    """Leaves the user's environment. Returns the home."""
    home = tempfile.mkdtemp(prefix="nobody-")
    # a checkout may belong to somebody else
    Path(home, ".gitconfig").write_text(
        "[safe]\n\tdirectory = *\n[user]\n\tname = nobody\n\temail = nobody@localhost\n", encoding="utf-8"
    )
    os.environ.setdefault("PYTHONUSERBASE", site.getuserbase())
    if os.path.isfile(
        pip := os.path.join(GIVEN.get("HOME", "/"), ".config/pip/pip.conf")
    ):  # where packages are had from
        os.environ.setdefault("PIP_CONFIG_FILE", pip)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ["HOME"] = home
    for name in ("no_proxy", "NO_PROXY"):  # the tests' own servers
        os.environ[name] = ",".join(filter(None, [GIVEN.get(name), "127.0.0.1", "localhost"]))
    return home


def leave(home: str, process: int) -> None:
    """Removes the home, unless this is a fork of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(home, ignore_errors=True)


atexit.register(leave, enter(), os.getpid())


@contextlib.contextmanager
def gone() -> Iterator[None]:
    """The user's environment again, for what the user may have on this machine."""
    now = dict(os.environ)
    os.environ.update(GIVEN)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(now)
