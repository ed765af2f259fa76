"""What happens, in pictures: noise, weights and times of configurations side by side, and what is inside a trained model."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.explaining.compared import Rival, compared
    from difflab.explaining.configurations import explain_configurations

__all__ = ["Rival", "compared", "explain_configurations"]

on_demand(__name__)
