"""Pages of HTML that hold all they show and load nothing: styles, plots, and how they are put together."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.pages.figure import Look, Overlay, Plot, looks, plot, script_safe, told_apart, trace
    from difflab.pages.page import render

__all__ = ["Look", "Overlay", "Plot", "looks", "plot", "render", "script_safe", "told_apart", "trace"]

on_demand(__name__)
