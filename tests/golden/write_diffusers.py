"""Writes diffusers.npz: numbers of diffusers 0.42.1 on the recipes' mixture, as told in README.md.

python tests/golden/write_diffusers.py     where diffusers is installed, which difflab does not need
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import diffusers  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from recipes import eps_model, rs_randn

UNIPC = [("bh1", True), ("bh1", False), ("bh2", False)]
SINGLESTEP = [("dpmsolver++", "zero"), ("dpmsolver", "sigma_min")]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"UniPC/{kind}/{'x0' if clean else 'eps'}/o{order}": (
            "UniPCMultistepScheduler",
            {"solver_order": order, "solver_type": kind, "predict_x0": clean, "final_sigmas_type": "sigma_min"},
        )
        for kind, clean in UNIPC
        for order in (1, 2, 3)
    },
    **{
        f"DPMSolverSinglestep/{kind}/o{order}": (
            "DPMSolverSinglestepScheduler",
            {"solver_order": order, "algorithm_type": kind, "final_sigmas_type": end},
        )
        for kind, end in SINGLESTEP
        for order in (1, 2, 3)
    },
    "PNDM/prk": ("PNDMScheduler", {"skip_prk_steps": False, "set_alpha_to_one": True}),
    "KDPM2": ("KDPM2DiscreteScheduler", {}),
    "KDPM2Ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
}
STEPS = (10, 15)
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def walked(name: str, config: dict[str, Any], steps: int) -> dict[str, np.ndarray]:
    """Where it ends, and the times at which it asks; its k-th noise is RandomState(11701 + k).randn."""
    scheduler = getattr(diffusers, name)(**BETAS, **config)
    scheduler.set_timesteps(steps)
    drawn = iter(range(11701, 12000))

    def noise(shape: Any, **_: Any) -> torch.Tensor:
        return torch.from_numpy(np.random.RandomState(next(drawn)).randn(*shape))

    module = sys.modules[type(scheduler).__module__]
    if hasattr(module, "randn_tensor"):
        module.randn_tensor = noise
    eps = eps_model(scheduler.alphas_cumprod.double().numpy())
    x = torch.from_numpy(rs_randn(11700, 2, 3, 4, 4, dtype=np.float64)) * float(scheduler.init_noise_sigma)
    for t in scheduler.timesteps:
        x = scheduler.step(eps(scheduler.scale_model_input(x, t), t), t, x).prev_sample
    return {"final": x.numpy(), "timesteps": scheduler.timesteps.double().numpy()}


if __name__ == "__main__":
    arrays = {
        f"{case}/{steps}/{key}": array
        for case, (name, config) in CASES.items()
        for steps in STEPS
        for key, array in walked(name, config, steps).items()
    }
    np.savez_compressed(Path(__file__).parent / "diffusers.npz", **arrays)  # pyright: ignore[reportArgumentType]
