"""What Lightning trains: owns the sockets and wires them."""

from difflab.module.classifier import ClassifierModule
from difflab.module.diffusion import DiffusionModule
from difflab.module.trained import TrainedModule

__all__ = ["ClassifierModule", "DiffusionModule", "TrainedModule"]
