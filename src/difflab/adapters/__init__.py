"""What is added to a trained model that stays as it is: only the additions learn, and they can be merged into its weights."""

from difflab.adapters.adapter import Adapter
from difflab.adapters.lora import LoRA

__all__ = [
    "Adapter",
    "LoRA",
]
