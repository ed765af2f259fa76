"""Test-wide set-up: golden inputs importable as `recipes`, shapes of annotated functions checked by beartype, nobody's environment."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "golden"))


import os

import torch
from jaxtyping import install_import_hook

# small tensors: threads that wait for each other on a busy machine make the tests many times slower
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

CHECKED = [
    "process",
    "noise",
    "types",
    "schedules",
    "parameterizations",
    "variances",
    "networks",
    "noisy_model",
    "denoiser",
    "classifier",
    "objectives",
    "samplers",
    "guidance",
    "ema",
]
install_import_hook([f"difflab.{name}" for name in CHECKED], "typecheck.checked")
