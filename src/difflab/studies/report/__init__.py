"""A study's answer as a table and as one HTML page."""

from typing import TYPE_CHECKING

from difflab.on_demand import on_demand

if TYPE_CHECKING:
    from difflab.studies.report.costs import Cost, read_cost
    from difflab.studies.report.page import write_report
    from difflab.studies.report.table import AblationTable, Estimate, Line, ablation_table, estimate
    from difflab.studies.report.table_markup import Html, Latex
    from difflab.studies.report.table_notes import protocol_line
    from difflab.studies.report.table_text import Csv, Markdown, Renderer

__all__ = [
    "AblationTable",
    "Cost",
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
    "read_cost",
    "write_report",
]

on_demand(__name__)
