"""Test-wide set-up: golden inputs importable as `recipes`, shapes of annotated functions checked by beartype."""

import sys
from pathlib import Path

from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent / "golden"))

CHECKED = ["process", "noise", "types", "schedules", "parameterizations", "variances", "denoiser", "objectives", "samplers", "guidance", "ema"]
install_import_hook([f"difflab.{name}" for name in CHECKED], "beartype.beartype")
