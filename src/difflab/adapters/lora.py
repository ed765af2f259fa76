"""Low-rank updates of weights that stay (LoRA, Hu et al. 2021, arXiv 2106.09685), by Hugging Face's peft."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from difflab.adapters.adapter import Adapter
from difflab.runtime.invocation import installation
from difflab.suggest import near_name

_BASE, _A, _B = ".base_layer.", ".lora_A.default.", ".lora_B.default."
"""Parts of the names that peft gives to a layer's own weights and to those that it adds."""


class LoRA(Adapter):
    """W becomes W + s B A, of which A [r, in] and B [out, r] learn; B begins at zero. s = lora_alpha / r.

    Arguments are called as in peft's LoraConfig.

    Args:
        r: Rank of the update.
        lora_alpha: Its scale, times r.
        target_modules: Ends of the names of the layers that get one: linear layers and convolutions.
        lora_dropout: Share of a layer's inputs that the update does not see in training.
        use_rslora: Whether s = lora_alpha / sqrt(r) (arXiv 2312.03732).
    """

    trainable = (f"*{_A}*", f"*{_B}*")

    def __init__(
        self,
        r: int = 8,
        lora_alpha: float = 8,
        target_modules: Sequence[str] = ("qkv", "q", "kv", "out"),
        lora_dropout: float = 0.0,
        use_rslora: bool = False,
    ):
        if r < 1:
            raise ValueError(f"r={r}: an update has a rank of at least 1")
        if not 0 <= lora_dropout < 1:
            raise ValueError(f"lora_dropout={lora_dropout} must be a share in [0, 1)")
        self.r = r
        self.lora_alpha = lora_alpha
        self.target_modules = list(target_modules)
        self.lora_dropout = lora_dropout
        self.use_rslora = use_rslora

    @property
    def scale(self) -> float:
        """The factor s."""
        return self.lora_alpha / (self.r**0.5 if self.use_rslora else self.r)

    def put_into(self, model: nn.Module, seed: int) -> None:
        if importlib.util.find_spec("peft") is None:
            raise ValueError(f"adapter=lora needs peft: {installation('lora')}")
        peft: Any = importlib.import_module("peft")
        lora: Any = importlib.import_module("peft.tuners.lora")
        layers = {
            name: type(one)
            for name, one in model.named_modules()
            if not list(one.children()) and list(one.parameters())
        }
        ends = {name.rpartition(".")[2] for name in layers}
        for target in self.target_modules if not any(self._is_target(name) for name in layers) else ():
            near = near_name(target, ends)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(ends))}"
            raise ValueError(f"adapter.target_modules: no layer's name ends with {target}; {hint}")
        config = peft.LoraConfig(
            r=self.r,
            lora_alpha=self.lora_alpha,
            target_modules=[name for name in layers if self._is_target(name)],
            lora_dropout=self.lora_dropout,
            use_rslora=self.use_rslora,
        )
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peft, about kinds of models that these are not
            torch.manual_seed(seed)
            peft.inject_adapter_in_model(config, model)
        for name, layer in model.named_modules():
            if isinstance(layer, lora.LoraLayer) and name in layers:
                _compute_alike(layer, layers[name])

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, value in weights.items():
            if any(part in name for part in (_A, _B)):
                continue
            layer, base, end = name.partition(_BASE)
            whole = value
            if base and end == "weight":
                down, up = (weights[f"{layer}{part}weight"].double() for part in (_A, _B))
                update = torch.tensordot(up.flatten(1), down, dims=1)  # of a convolution B's kernel is one pixel
                whole = (value.double() + self.scale * update.view(value.shape)).to(value.dtype)
            found[f"{layer}.{end}" if base else name] = whole
        return found

    def _is_target(self, name: str) -> bool:
        return any(name == one or name.endswith(f".{one}") for one in self.target_modules)


def _compute_alike(layer: Any, kind: type[nn.Module]) -> None:
    """Has A and B of a layer that is a linear one of its own kind, as one over the channels of an image, compute as that kind does."""
    if kind is nn.Linear or not issubclass(kind, nn.Linear):
        return
    for parts in (layer.lora_A, layer.lora_B):
        for name, plain in parts.items():
            alike = kind(plain.in_features, plain.out_features, bias=False)
            alike.load_state_dict(plain.state_dict())
            parts[name] = alike
