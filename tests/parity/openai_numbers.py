"""Networks of OpenAI's flags, with the weights and the numbers of tests/golden/unet*."""

import gzip
import json
from pathlib import Path

import numpy as np
import torch
from recipes import param_recipe

from difflab.checkpoints import openai

GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGS = json.loads((GOLDEN / "unet.json").read_text(encoding="utf-8"))["configs"]
PARAMETERS = json.loads(gzip.decompress((GOLDEN / "unet_params.json.gz").read_bytes()))
NUMBERS = np.load(GOLDEN / "unet.npz")
WITH_NUMBERS = [name for name in CONFIGS if f"{name}/out" in NUMBERS]


def flags_of(name):
    return {"cls": CONFIGS[name]["cls"], **CONFIGS[name]["kwargs"]}


def network_of(name):
    network = openai.unet(flags_of(name))
    weights = {p["name"]: torch.from_numpy(param_recipe(p["name"], p["shape"])).float() for p in PARAMETERS[name]}
    network.load_state_dict(openai.convert(weights, flags_of(name)))
    return network.eval()


def stored(name, what):
    key = f"{name}/{what}"
    return torch.from_numpy(NUMBERS[key]) if key in NUMBERS else None
