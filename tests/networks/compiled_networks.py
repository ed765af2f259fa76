"""Networks compiled and not, side by side; prints as JSON how far apart they are and how often was compiled.

compiled_networks.py with|without [OVERRIDE ...]: given overrides of train.py, it trains with them as well. A program of its own, since
torch.compile would trace the checks of shapes that the tests install as well.
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch._dynamo.utils import counters

from difflab.networks import CompiledBlocks, CompiledNetwork, Compute, UNet, initialise, layers
from difflab.networks.layers.residual_block import Chain
from difflab.types import Condition, Label

TESTS = Path(__file__).parents[1]
CPU = torch.device("cpu")


def unet(**changes) -> UNet:
    choices = {
        "embedders": {"label": partial(layers.LabelEmbedding, num_classes=3)},
        "norm": layers.AdaptiveGroupNorm,
        "resample": layers.BigGANResample(),
        "attention": partial(layers.HeadsFirstAttention, heads=layers.HeadCount(2)),
        "width": 16,
        "channel_mult": (1, 2),
        "depth": 1,
        "attention_resolutions": (4,),
    }
    network = UNet(8, 1, 1, **{**choices, **changes})
    initialise(network, 0)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # no layer is zero
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network


def worked(network: nn.Module, batch: int = 3) -> tuple[torch.Tensor, ...]:
    """Output, gradient of the image, gradients of the weights."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 1, 8, 8, generator=generator, requires_grad=True)
    torch.manual_seed(2)  # of dropout
    out = network(x, torch.linspace(10, 900, batch), Condition(label=Label(torch.arange(batch) % 3)))
    out.square().sum().backward()
    assert x.grad is not None
    gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    network.zero_grad()
    return out.detach(), x.grad, gradients


def apart(compute: Compute, **changes) -> float:
    """The largest difference of all that is worked out, relative to the largest number in it."""
    plain, network = unet(**changes), unet(**changes)
    compute.prepare(network, CPU)
    assert list(network.state_dict()) == list(plain.state_dict())
    pairs = zip(worked(network), worked(plain), strict=True)
    return max(float((found - expected).abs().max() / expected.abs().max()) for found, expected in pairs)


def counted(compute: Compute, network: UNet, batches: list[int]) -> dict:
    """Graphs that were made after each batch, and how often the compiler gave up."""
    torch._dynamo.reset()
    counters.clear()
    compute.prepare(network, CPU)
    graphs = []
    for batch in batches:
        worked(network, batch)
        graphs.append(counters["stats"]["unique_graphs"])
    chains = sum(isinstance(layer, Chain) for layer in network.modules())
    return {
        "graphs": graphs,
        "gave up": dict(counters["graph_break"]) | dict(counters["unimplemented"]),
        "chains": chains,
    }


def without_kernels() -> dict:
    """All of torch.compile but the making of kernels, which takes minutes."""
    blocks = CompiledBlocks(backend="aot_eager")
    return {
        "apart": {
            "blocks, contiguous": apart(CompiledBlocks(backend="aot_eager", channels_last=False)),
            "blocks, dropout": apart(blocks, dropout=0.5),
            "blocks, dropout, gradient checkpointing": apart(blocks, dropout=0.5, gradient_checkpointing=True),
            "network, dropout": apart(CompiledNetwork(backend="aot_eager"), dropout=0.5),
        },
        "golden": golden(blocks),
        "deep": counted(CompiledBlocks(backend="eager"), unet(depth=3), [3, 3]),
        "sizes": counted(CompiledBlocks(backend="eager"), unet(), [1, 2]),
    }


def golden(compute: Compute) -> float:
    """How far the output of the smallest network of OpenAI's is from theirs."""
    sys.path[:0] = [str(TESTS / "golden"), str(TESTS / "parity")]
    import openai_numbers as openai

    name = min(openai.WITH_NUMBERS, key=lambda name: len(openai.PARAMETERS[name]))
    network = openai.network_of(name)
    compute.prepare(network.network, CPU)
    with torch.no_grad():
        out = network(*(openai.stored(name, what) for what in ("x", "t", "y", "low_res")))
    return float((out - openai.stored(name, "out")).abs().max())


def with_kernels() -> dict:
    """With inductor's own kernels: how far apart, and how many of its graphs were not and were kept on the disk."""
    found = apart(CompiledBlocks(), dropout=0.5)
    return {
        "apart": found,
        "made": counters["inductor"]["fxgraph_cache_miss"],
        "kept": counters["inductor"]["fxgraph_cache_hit"],
    }


def trained(overrides: list[str]) -> None:
    sys.path.insert(0, str(TESTS))
    from difflab.cli.train import train
    from running import composed

    torch._dynamo.reset()
    train(composed("train", *overrides))


if __name__ == "__main__":
    torch.set_num_threads(1)
    kernels, *overrides = sys.argv[1:]
    found = {"without": without_kernels, "with": with_kernels}[kernels]()
    if overrides:
        trained(overrides)
    print(json.dumps(found))
