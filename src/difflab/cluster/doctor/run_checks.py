"""What the doctor examines for a run: its packages, processes, disk, data and logger, as its configuration says."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import torch
from requests.utils import get_netrc_auth

from difflab.cluster.doctor.check import (
    Check,
    Finding,
    Measured,
    NotApplicableError,
    differing,
    failed,
    ok,
    warning,
    worst,
)
from difflab.cluster.doctor.cluster_checks import ClockSkew, DataReachable, SharedFolder
from difflab.cluster.doctor.job_checks import AllReduce, SlurmLimits
from difflab.cluster.doctor.machine_checks import DiskSpace, GPUs, OpenFiles, SharedMemory
from difflab.config.build import build, target
from difflab.config.derived import divide
from difflab.config.run import composed_as_running
from difflab.config.training import complete
from difflab.data.stream import images_per_micro_batch
from difflab.distributed.group import Group
from difflab.distributed.world import process_count
from difflab.runs.wandb.service import connection_to
from difflab.runtime.invocation import installation_of
from difflab.types import sides

LIBRARIES = ("torch", "torchvision", "pytorch-lightning", "hydra-core", "wandb", "deepspeed")
COMPROMISED = {"pytorch-lightning": ("2.6.2", "2.6.3"), "lightning": ("2.6.2", "2.6.3")}
"""Releases that carried malicious code."""


class Versions(Check):
    """What is installed.

    Args:
        packages: Those that the run needs and difflab does not bring along.
    """

    name = "versions"
    remedy = "install difflab again, in an environment of its own"

    def __init__(self, packages: Sequence[str]):
        self.packages = tuple(packages)

    def measure(self, group: Group) -> dict[str, Any]:
        return {
            "python": platform.python_version(),
            **{library: installed(library) for library in (*LIBRARIES, "lightning", "difflab", *self.packages)},
            "cuda": torch.version.cuda or "",
            "driver_cuda": driver_cuda(),
        }

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        troubles = [
            failed(f"{key} differs: {who}", "use one environment on all nodes")
            for key in facts
            if (who := differing(measured, key))
        ]
        if release(facts["python"]) < (3, 11):
            troubles.append(failed(f"python {facts['python']}", "difflab needs 3.11 or later"))
        for library, minimum in minima().items():
            found = facts.get(library)
            if found == "" and library != "deepspeed":
                troubles.append(failed(f"{library} is missing", f"pip install '{library}>={minimum}'"))
            elif found and release(found) < release(minimum):
                troubles.append(
                    failed(f"{library} {found} is older than {minimum}", f"pip install '{library}>={minimum}'")
                )
        for library, releases in COMPROMISED.items():
            if facts[library] in releases:
                remedy = f"uninstall it, replace every credential that this machine knows, and pip install '{library}>=2.6.4'"
                troubles.append(failed(f"{library} {facts[library]} was a compromised release", remedy))
        for package in self.packages:
            if not facts[package]:
                troubles.append(failed(f"the strategy needs {package}, which is missing", installation_of(package)))
        troubles += [cuda for one in measured if (cuda := judge_driver(one)) is not None][:1]
        named = ("python", *(library for library in LIBRARIES if facts[library]))
        drivers = (
            f", CUDA {facts['cuda']} (driver: {facts['driver_cuda']})" if facts["cuda"] and facts["driver_cuda"] else ""
        )
        return worst(troubles, ok(", ".join(f"{key} {facts[key]}" for key in named) + drivers))


def judge_driver(one: Measured) -> Finding | None:
    """A finding if the driver is too old for torch's CUDA. A driver takes all of CUDA's versions up to its own, and later minor ones."""
    cuda, driver = one.facts["cuda"], one.facts["driver_cuda"]
    if not cuda or not driver:
        return None
    if release(driver)[0] < release(cuda)[0]:
        found = f"the driver on {one.host} knows CUDA up to {driver}, torch is built for {cuda}"
        return failed(found, f"update the driver, or install a torch built for CUDA {release(driver)[0]}")
    if release(driver) < release(cuda):
        found = f"the driver on {one.host} knows CUDA up to {driver}, torch is built for {cuda}"
        return warning(found, "kernels compiled while running may fail: prefer a newer driver")
    return None


def installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def minima() -> dict[str, str]:
    """library -> the lowest version that difflab's own metadata ask for."""
    found = {}
    for requirement in requires("difflab") or []:
        parts = re.match(r"([\w.-]+)(?:\[[^]]*\])?[^;]*>=\s*([\d.]+)", requirement)
        if parts and parts[1] in LIBRARIES:
            found[parts[1]] = parts[2]
    return found


def driver_cuda() -> str:
    """The newest CUDA that the driver knows, as 13.0; "" without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    number = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def release(text: str) -> tuple[int, ...]:
    """2.14.1+cu130 -> (2, 14, 1)."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))


KEY_LENGTH = 40


class WandbLogin(Check):
    """Whether W&B can be reached as the run asks.

    Args:
        mode: logger.wandb.mode: auto, online, offline or disabled; None if the run has no such logger.
    """

    name = "W&B"
    remedy = "logger.wandb.mode=offline, and later wandb sync, or logger=none"

    def __init__(self, mode: str | None):
        self.mode = mode

    def measure(self, group: Group) -> dict[str, Any]:
        if self.mode is None:
            raise NotApplicableError("the run does not use it")
        if group.rank:
            return {"rank": group.rank}  # only process 0 talks to W&B
        server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
        login = get_netrc_auth(server)
        key = os.environ.get("WANDB_API_KEY") or (login[1] if login else "")
        mode = self.mode
        if mode == "auto":
            mode = os.environ.get("WANDB_MODE") or ("online" if key else "offline")
        connection = connection_to(server) if mode == "online" and key else ""
        return {"mode": mode, "server": server, "key_length": len(key), "connection": connection}

    def judge(self, measured: Sequence[Measured]) -> Finding:
        facts = measured[0].facts
        mode, server, key_length = facts["mode"], facts["server"], facts["key_length"]
        if mode not in ("online", "offline", "disabled"):
            return failed(f"mode {mode!r}", "logger.wandb.mode (or $WANDB_MODE) is auto, online, offline or disabled")
        if mode == "disabled":
            return ok("disabled")
        if mode == "offline":
            why = "as asked" if self.mode == "offline" or key_length else "not logged in"
            return ok(f"offline ({why}): `wandb sync <run>/wandb/offline-run-*` sends runs later")
        if not key_length:
            return failed(
                f"not logged in to {server}", "wandb login, or export WANDB_API_KEY=..., or logger.wandb.mode=offline"
            )
        if facts["connection"]:
            return failed(
                f"{server} cannot be reached from {measured[0].host} ({facts['connection']})",
                "compute nodes often have no way out: logger.wandb.mode=offline, and wandb sync from the login node",
            )
        if key_length < KEY_LENGTH:
            return warning(f"the key has {key_length} characters, not {KEY_LENGTH}", "wandb login --relogin")
        return ok(f"online, {server} answers and there is a key")


def checks_of(overrides: Sequence[str]) -> list[Check]:
    """All checks; what no argument names is not examined.

    Args:
        overrides: Arguments of a training command, which describe the run.

    Raises:
        ValueError: They make no configuration that can be run.
        RuntimeError: Neither.
    """
    config = composed_as_running("train", list(overrides))
    complete(config)
    processes = divide(config, lambda here: here, target(config.launcher).starts_other_nodes)
    trainer, data = config.trainer, config.data
    run_named = any(override.lstrip("+").startswith("experiment=") for override in overrides)
    data_named = run_named or any(override.startswith("data") for override in overrides)
    here = process_count(trainer.accelerator, trainer.devices, 1)
    images = images_per_micro_batch(data.batch_size, processes, trainer.accumulate_grad_batches)
    batch_bytes = images * data.channels * math.prod(sides(data.image_size))
    wandb = config.logger.get("wandb")
    return [
        Versions(target(config.strategy).packages),
        GPUs(str(trainer.accelerator), here, str(trainer.precision)),
        AllReduce(str(trainer.accelerator)),
        SharedFolder(config.run.root),
        DiskSpace(config.run.root, (lambda: bytes_needed(config)) if run_named else None),
        DataReachable((lambda: first_images(config)) if data_named else None),
        WandbLogin(None if wandb is None else str(wandb.mode)),
        SlurmLimits(float(config.run.margin), processes if run_named else None),
        ClockSkew(),
        OpenFiles(data.num_workers),
        SharedMemory(data.num_workers, batch_bytes, here),
    ]


def bytes_needed(config: Any) -> int:
    """What the run's checkpoints, snapshots and exported weights will take: everything in float32, Adam's two moments with it."""
    with torch.device("meta"):  # sizes without values
        network = build(config.network)
    weights = 4 * sum(p.numel() for p in network.parameters())
    tracks, steps = len(config.ema), config.trainer.max_steps
    kept = config.checkpoint.keep_last + 2  # the one that is being written, and the best
    if config.checkpoint.milestone:
        kept += steps // config.checkpoint.milestone
    snapshots = tracks * (steps // config.ema_snapshots.every) if config.ema_snapshots.every else 0
    return weights * (kept * (3 + tracks) + (1 + tracks) + snapshots)


def first_images(config: Any) -> tuple[int, list[int], str]:
    """(how many images there are, the shape of one, a hash of the first and the last)."""
    dataset = build(config.data).dataset
    images = dataset.images([0, len(dataset) - 1])
    digest = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()
    return len(dataset), list(images.shape[1:]), digest[:16]
