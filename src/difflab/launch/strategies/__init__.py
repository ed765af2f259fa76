"""How the processes of a run share its work and its memory."""

from difflab.launch.strategies.deepspeed import DeepSpeed
from difflab.launch.strategies.fsdp import FSDP
from difflab.launch.strategies.simple import DDP, Automatic, Single
from difflab.launch.strategies.strategy import TrainingStrategy

__all__ = ["DDP", "FSDP", "Automatic", "DeepSpeed", "Single", "TrainingStrategy"]
