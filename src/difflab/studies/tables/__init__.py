"""A study's answer as a table: Markdown, LaTeX, CSV, HTML."""

from difflab.studies.tables.csv import Csv
from difflab.studies.tables.estimate import Estimate, estimate
from difflab.studies.tables.html import Html
from difflab.studies.tables.latex import Latex
from difflab.studies.tables.markdown import Markdown
from difflab.studies.tables.protocol_line import protocol_line
from difflab.studies.tables.renderer import Renderer
from difflab.studies.tables.table import AblationTable, Line, ablation_table

__all__ = [
    "AblationTable",
    "Csv",
    "Estimate",
    "Html",
    "Latex",
    "Line",
    "Markdown",
    "Renderer",
    "ablation_table",
    "estimate",
    "protocol_line",
]
