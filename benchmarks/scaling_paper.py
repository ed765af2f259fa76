"""The model on paper for OpenAI's ImageNet models on 8 to 1,024 GPUs: the tables and the picture of docs/scaling.md.

    python benchmarks/scaling_paper.py docs/images/scaling.png

Counts the networks on the meta device (nothing is computed), prints the tables as markdown and draws the picture.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.scaling_model import DDP, FSDP, Cluster, Prediction, Sharding, ZeRO1, ZeRO2, ZeRO3, predict
from difflab.checkpoints.openai_flags import flags_for
from difflab.checkpoints.openai_networks import architecture, build
from difflab.networks import Network
from difflab.studies.planning import Workload
from difflab.studies.planning.counting import counted
from difflab.training.sharding.fsdp import repeated_blocks
from difflab.types import Condition, Label

H100 = Cluster(
    rate=0.25 * 989e12,
    memory_rate=0.8 * 3.35e12,
    memory=80e9,
    per_node=8,
    inside=370e9,
    between=44e9,
    inside_latency=3e-6,
    between_latency=10e-6,
    dispatch=8e-6,
    overlap=0.8,
    jitter=0.01,
)
"""Eight H100 SXM per node with one 400 Gb/s card each; where the numbers come from is said in docs/scaling.md."""
NETWORKS = {"8 x 400 Gb/s": H100, "1 x 100 Gb/s": replace(H100, between=0.9 * 12.5e9 / 8)}
SHARDINGS: dict[str, Sharding] = {
    "ddp": DDP(),
    "deepspeed_1": ZeRO1(),
    "deepspeed_2": ZeRO2(),
    "deepspeed_3": ZeRO3(),
    "fsdp": FSDP(),
}
PICTURED = {"ddp": DDP(), "deepspeed_1": ZeRO1(), "deepspeed_2": ZeRO2(), "fsdp, deepspeed_3": FSDP()}
MODELS = {"64x64_diffusion": (2048, 32), "128x128_diffusion": (256, 32), "256x256_diffusion": (256, 8)}
"""Name -> the published batch, images that fit a GPU at a time."""
SIZES = [8, 16, 32, 64, 128, 256, 512, 1024]
ALONE = DDP()


def workload(name: str) -> Workload:
    """A network in training, in bfloat16 as autocast computes it."""
    with torch.device("meta"):
        network = build(architecture(flags_for(name))).to(torch.bfloat16)
    assert isinstance(network, Network)
    return counted(
        network, Condition(label=Label(torch.zeros(1, dtype=torch.long, device="meta"))), repeated_blocks(network)
    )


def weak(work: Workload, cluster: Cluster, sharding: Sharding, n: int, at_a_time: int) -> tuple[Prediction, float]:
    """As many images on every GPU, however many there are; and the efficiency against one GPU."""
    found = predict(work, cluster, sharding, n, n * at_a_time, at_a_time)
    return found, found.efficiency(predict(work, cluster, ALONE, 1, at_a_time, at_a_time))


def strong(
    work: Workload, cluster: Cluster, sharding: Sharding, n: int, batch: int, at_a_time: int
) -> tuple[Prediction, float]:
    """The published batch on n GPUs; and the efficiency against one GPU that accumulates."""
    found = predict(work, cluster, sharding, n, batch, at_a_time)
    return found, found.efficiency(predict(work, cluster, ALONE, 1, batch, at_a_time))


def print_counts(works: dict[str, Workload]) -> None:
    print("| model | parameters | training FLOPs/image | activations/image | operations/pass | FSDP's pieces |")
    print("|---|---|---|---|---|---|")
    for name, work in works.items():
        print(
            f"| {name} | {work.parameters / 1e6:.1f} M | {work.training_flops / 1e12:.3f} T | {work.activation_bytes / 1e9:.2f} GB | "
            f"{work.operations} | {work.blocks} |"
        )


def print_weak(works: dict[str, Workload]) -> None:
    chosen = [8, 64, 256, 1024]
    columns = " | ".join(f"{n} GPUs" for n in chosen)
    print(f"| model, images per GPU | network | strategy | sent per GPU and step | {columns} |")
    print("|---" * (4 + len(chosen)) + "|")
    for name, work in works.items():
        at_a_time = MODELS[name][1]
        for network, cluster in NETWORKS.items():
            for strategy in ("ddp", "deepspeed_1", "fsdp"):
                found = [weak(work, cluster, SHARDINGS[strategy], n, at_a_time) for n in chosen]
                cells = " | ".join(f"{p.step * 1e3:.0f} ms, {e:.0%}" for p, e in found)
                sent = sum(traffic.sent(1024) for traffic in SHARDINGS[strategy].traffic(work, 1)) / 1e9
                print(f"| {name}, {at_a_time} | {network} | {strategy} | {sent:.1f} GB | {cells} |")


def print_memory(works: dict[str, Workload]) -> None:
    print("| model, images per GPU | activations | " + " | ".join(SHARDINGS) + " |")
    print("|---" * (2 + len(SHARDINGS)) + "|")
    for name, work in works.items():
        at_a_time = MODELS[name][1]
        cells = []
        for sharding in SHARDINGS.values():
            few, many = (sharding.memory(work, n, at_a_time) for n in (8, 1024))
            cells.append(" / ".join(f"{(m.state + m.gathered) / 1e9:.1f}" for m in (few, many)))
        activations = work.activation_bytes * at_a_time / 1e9
        print(f"| {name}, {at_a_time} | {activations:.1f} | " + " | ".join(cells) + " |")


def print_strong(works: dict[str, Workload]) -> None:
    print("| model, batch | network | " + " | ".join(str(n) for n in SIZES) + " |")
    print("|---" * (2 + len(SIZES)) + "|")
    for name, work in works.items():
        batch, at_a_time = MODELS[name]
        for network, cluster in NETWORKS.items():
            cells = []
            for n in SIZES:
                if batch % n:
                    cells.append("-")
                    continue
                p, e = strong(work, cluster, DDP(), n, batch, at_a_time)
                cells.append(f"{p.images_per_second:,.0f}/s, {e:.0%}")
            print(f"| {name}, {batch} | {network} | " + " | ".join(cells) + " |")


def print_sensitivity(work: Workload, at_a_time: int) -> None:
    print("| changed | ddp, 1 x 100 Gb/s | ddp | fsdp, 256 GPUs | fsdp |\n|---|---|---|---|---|")
    changes = {
        "nothing": H100,
        "15 % of the peak instead of 25 %": replace(H100, rate=0.15 * 989e12),
        "40 % of the peak": replace(H100, rate=0.4 * 989e12),
        "no overlap": replace(H100, overlap=0.0),
        "jitter 0": replace(H100, jitter=0.0),
        "half the network": replace(H100, between=H100.between / 2),
        "latencies / 3": replace(
            H100, inside_latency=H100.inside_latency / 3, between_latency=H100.between_latency / 3
        ),
        "latencies x 3": replace(
            H100, inside_latency=3 * H100.inside_latency, between_latency=3 * H100.between_latency
        ),
    }
    for what, cluster in changes.items():
        slow = replace(cluster, between=cluster.between * NETWORKS["1 x 100 Gb/s"].between / H100.between)
        asked = [(slow, DDP(), 1024), (cluster, DDP(), 1024), (cluster, FSDP(), 256), (cluster, FSDP(), 1024)]
        cells = [f"{weak(work, machine, sharding, n, at_a_time)[1]:.0%}" for machine, sharding, n in asked]
        print(f"| {what} | {' | '.join(cells)} |")


def draw(works: dict[str, Workload], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(works), figsize=(12, 6.5), sharex=True, sharey=True, constrained_layout=True)
    for column, (name, work) in enumerate(works.items()):
        batch, at_a_time = MODELS[name]
        for cluster, style in zip(NETWORKS.values(), ("-", "--"), strict=True):
            for color, (strategy, sharding) in enumerate(PICTURED.items()):
                label = strategy if style == "-" else None
                sizes = [n for n in SIZES if batch % n == 0]
                plain = {"linestyle": style, "color": f"C{color}", "marker": "o", "markersize": 3, "label": label}
                axes[0, column].plot(SIZES, [weak(work, cluster, sharding, n, at_a_time)[1] for n in SIZES], **plain)
                axes[1, column].plot(
                    sizes, [strong(work, cluster, sharding, n, batch, at_a_time)[1] for n in sizes], **plain
                )
        axes[0, column].set_title(f"{name.removesuffix('_diffusion')}: {at_a_time} images per GPU")
        axes[1, column].set_title(f"{name.removesuffix('_diffusion')}: batch {batch} in all")
        axes[1, column].set_xlabel("GPUs")
    for axis in axes.flat:
        axis.set_xscale("log", base=2)
        axis.set_xticks(SIZES, [str(n) for n in SIZES])
        axis.set_ylim(0, 1.05)
        axis.grid(alpha=0.3)
    for row, what in enumerate(("weak", "strong")):
        axes[row, 0].set_ylabel(f"efficiency, {what} scaling")
    axes[0, 0].legend(fontsize=8)
    figure.suptitle("On paper: H100 nodes of 8; solid: 8 x 400 Gb/s per node, dashed: 1 x 100 Gb/s per node")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    everything = {name: workload(name) for name in MODELS}
    print_counts(everything)
    print()
    print_weak(everything)
    print()
    print_memory(everything)
    print()
    print_strong(everything)
    print()
    print_sensitivity(everything["256x256_diffusion"], MODELS["256x256_diffusion"][1])
    draw(everything, Path(sys.argv[1]))
