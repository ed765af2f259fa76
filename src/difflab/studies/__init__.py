"""Many measurements together: settings swept over one noise bank, fronts, the best one chosen fairly."""

from difflab.studies.front import Point, draw_front, on_front
from difflab.studies.selection import Choice, choose
from difflab.studies.sweep import AXES, Setting, settings

__all__ = ["AXES", "Choice", "Point", "Setting", "choose", "draw_front", "on_front", "settings"]
