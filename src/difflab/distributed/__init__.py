"""The processes of a command: which one this is, how they meet, and what they exchange."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.distributed.group import Group, ProcessMissingError
    from difflab.distributed.placement import ALONE, Placement, placement
    from difflab.distributed.world import Processes

__all__ = [
    "ALONE",
    "Group",
    "Placement",
    "ProcessMissingError",
    "Processes",
    "placement",
]

on_demand(__name__)
