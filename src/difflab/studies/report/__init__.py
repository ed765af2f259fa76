"""A study's report: one self-contained HTML page."""

from difflab.studies.report.write import write_report

__all__ = ["write_report"]
