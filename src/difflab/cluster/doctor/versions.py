"""What difflab runs on: versions that are known to work and the same on every node, and a connection to W&B."""

from __future__ import annotations

import ctypes
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
from difflab.distributed.group import Group
from difflab.runs.wandb.service import connection_to
from difflab.runtime.invocation import installation_of

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
    """2.14.1+cu130 -> (2, 14, 1)"""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))


KEY_LENGTH = 40


class WandbLogin(Check):
    """mode   logger.wandb.mode: auto, online, offline or disabled; None if the run has no such logger"""

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
