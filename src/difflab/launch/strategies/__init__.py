"""How the processes of a run share its work and its memory."""

from difflab.launch.strategies.automatic import Automatic
from difflab.launch.strategies.ddp import DDP
from difflab.launch.strategies.deepspeed import DeepSpeed
from difflab.launch.strategies.fsdp import FSDP
from difflab.launch.strategies.single import Single
from difflab.launch.strategies.strategy import TrainingStrategy

__all__ = ["DDP", "FSDP", "Automatic", "DeepSpeed", "Single", "TrainingStrategy"]
