"""The GPUs: one for every process, all equal, free, and able to do the precision."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import torch

from difflab.launch.doctor.check import Check, Measured, NotApplicableError
from difflab.launch.doctor.finding import Finding, failed, ok, warning, worst
from difflab.launch.group import Group

OCCUPIED = 0.1
"""Share of the memory that may be taken; a context alone takes some hundred MB."""


class GPUs(Check):
    """accelerator, devices, precision   of the trainer; devices is the number of processes that one process starts by itself"""

    name = "GPUs"
    remedy = "look at nvidia-smi on that node; a node whose GPUs do not answer is to be excluded"

    def __init__(self, accelerator: str, devices: int, precision: str):
        self.accelerator = accelerator
        self.devices = devices
        self.precision = precision

    def measure(self, group: Group) -> dict[str, Any]:
        if self.accelerator == "cpu":
            raise NotApplicableError("trainer.accelerator=cpu")
        visible = torch.cuda.device_count()
        mine = [group.local_rank] if group.size > 1 else range(visible)
        return {
            "visible": visible,
            "driver": shutil.which("nvidia-smi") is not None,
            "needed": group.local_size if group.size > 1 else self.devices,
            "gpus": [describe(index) for index in mine if index < visible],
        }

    def judge(self, measured: Sequence[Measured]) -> Finding:
        with_gpus = [one for one in measured if one.facts["visible"]]
        if not with_gpus:
            if any(one.facts["driver"] for one in measured):
                seen = "nvidia-smi is here, but torch sees no GPU"
                return failed(seen, "look at CUDA_VISIBLE_DEVICES, the job's --gpus-per-node and the versions above")
            if self.accelerator in ("gpu", "cuda"):
                return failed(
                    "no GPU",
                    f"trainer.accelerator={self.accelerator} needs one: trainer.accelerator=auto takes what there is",
                )
            return ok("none: training on the CPU")
        troubles = [
            failed(
                f"{one.who} sees {one.facts['visible']} GPUs for {one.facts['needed']} processes",
                "one GPU per process, all of a node seen by each: --gpus-per-node, not --gpus-per-task",
            )
            for one in measured
            if one.facts["visible"] < one.facts["needed"]
        ]
        all_gpus = [(one, gpu) for one in measured for gpu in one.facts["gpus"]]
        kinds = {(gpu["name"], gpu["memory_gb"]) for _, gpu in all_gpus}
        if len(kinds) > 1:
            named = ", ".join(f"{name} {memory} GB" for name, memory in sorted(kinds))
            troubles.append(
                warning(
                    f"different GPUs: {named}",
                    "the slowest sets the pace: ask for one kind, by launcher.options or the profile",
                )
            )
        for one, gpu in all_gpus:
            label = f"GPU {gpu['index']} ({gpu['name']}) on {one.host}"
            if gpu["used_gb"] > OCCUPIED * gpu["memory_gb"]:
                used = f"{label}: {gpu['used_gb']} of {gpu['memory_gb']} GB are taken"
                troubles.append(warning(used, "somebody else computes there: nvidia-smi names the process"))
            if "bf16" in self.precision and not gpu["bf16"]:
                troubles.append(failed(f"{label} has no bfloat16", "trainer.precision=32-true, or 16-mixed"))
        names = ", ".join(f"{name} {memory} GB" for name, memory in sorted(kinds))
        halves = "bf16" if all(gpu["bf16"] for _, gpu in all_gpus) else "no bf16"
        return worst(troubles, ok(f"{len(all_gpus)} x {names}, free, {halves}"))


def describe(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return {
        "index": index,
        "name": properties.name,
        "memory_gb": round(total / 1e9),
        "used_gb": round((total - free) / 1e9, 1),
        "bf16": properties.major >= 8,
    }
