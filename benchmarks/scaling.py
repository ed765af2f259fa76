"""Scaling on this machine: images per second, efficiency, time lost to communication, memory per process, by strategy.

    python benchmarks/scaling.py --processes 1 2 --rounds 3
    python benchmarks/scaling.py --processes 1 2 4 8 --batch 64 -- +experiment=adm/table1/base trainer.accelerator=gpu

Every cell of the table is a training run of its own in fresh processes. A round runs each of them once, and rounds follow each other, back
and forth, so that a busy machine disturbs all alike; medians over rounds. "apart" are processes that train at the same time without
talking to each other: what they lose against one process alone is the machine's (memory, caches, clocks), what the others lose
against them is communication and waiting. "processor" are the least seconds that a process was computing in a step, which is what
a shared machine disturbs least. Beyond one machine start scaling_worker.py under srun or torchrun.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scaling_model import DDP, FSDP, Cluster, ZeRO1, ZeRO2, ZeRO3, predict
from difflab.studies.planning import Workload

HERE = Path(__file__).parent
SHARDINGS = {"ddp": DDP(), "fsdp": FSDP(), "deepspeed_1": ZeRO1(), "deepspeed_2": ZeRO2(), "deepspeed_3": ZeRO3()}
MODEL: tuple[str, ...] = ("+experiment=cosine_adagn", "network.width=64", "trainer.accelerator=cpu")
GATHER_ALL = "+strategy.zero.stage3_param_persistence_threshold=0"
"""Else ZeRO-3 keeps small weights whole everywhere, which in a small model is most of them."""
MIB = 2**20


def cells(processes: list[int], strategies: list[str], batch: int, model: list[str]) -> list[dict[str, Any]]:
    """Label, processes and overrides of each run of a round. `batch` is a process's share (weak) or everybody's (strong)."""

    def cell(label: str, n: int, strategy: str, images: int) -> dict[str, Any]:
        extra = [GATHER_ALL] if strategy.startswith("deepspeed_3") else []
        overrides = [*model, f"strategy={strategy}", f"data.batch_size={images}", *extra]
        return {"label": label, "n": n, "overrides": overrides}

    found = [cell("alone", 1, "single", batch)]
    for n in (n for n in processes if n > 1):
        found.append(cell(f"apart {n}", n, "single", batch) | {"is_apart": True})
        found += [cell(f"{strategy} {n} weak", n, strategy, n * batch) for strategy in strategies]
        if batch % n == 0:
            found.append(cell(f"{strategies[0]} {n} strong", n, strategies[0], batch))
    return found


def run(plan: dict[str, Any], n: int, is_apart: bool, limit: float) -> list[dict[str, Any]]:
    """What each of n processes writes down."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["scaling_worker", "difflab.training.module", "difflab.data", "sklearn.datasets"]
    )  # imports once; every process is still a fresh one
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        started = [context.Process(target=start, args=(plan | {"out": folder}, i, n, is_apart, port)) for i in range(n)]
        for process in started:
            process.start()
        for process in started:
            process.join(limit)
        if any(process.exitcode != 0 for process in started):
            for process in started:
                process.kill()
            raise SystemExit(f"{plan['label']}: a process failed or took longer than {limit:g} s; its message is above")
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))]


def start(plan: dict[str, Any], i: int, n: int, is_apart: bool, port: int) -> None:
    """In a new process: becomes the i-th of n, as torchrun would have it."""
    import scaling_worker

    if is_apart:
        plan["apart"] = [i, n]
    elif n > 1:
        rank = {"RANK": i, "LOCAL_RANK": i, "WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n, "GROUP_RANK": 0}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "scaling"}
        os.environ.update({key: str(value) for key, value in (rank | meeting).items()})
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    scaling_worker.main(plan)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All rounds, and what the model on paper wants to know of this machine."""
    model = arguments.overrides or list(MODEL)
    todo = cells(arguments.processes, arguments.strategies, arguments.batch, model)
    common = {"steps": arguments.steps, "warm_up": arguments.warm_up}
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "model": model,
        "batch": arguments.batch,
        **common,
        "runs": [],
        "links": [],
    }
    (counted,) = run({"what": "work", "label": "work", "overrides": model}, 1, False, arguments.limit)
    result["work"] = counted["work"]
    for around in range(arguments.rounds):
        for n in (n for n in arguments.processes if n > 1):
            plan = {"what": "links", "label": "links", "floats": counted["work"]["parameters"], "steps": 15}
            result["links"].append(run(plan, n, False, arguments.limit)[0])
        for cell in todo if around % 2 == 0 else todo[::-1]:
            plan = common | {"label": cell["label"], "overrides": cell["overrides"]}
            ranks = run(plan, cell["n"], cell.get("is_apart", False), arguments.limit)
            result["runs"].append(
                {"round": around, "label": cell["label"], "n": cell["n"], "load": os.getloadavg()[0], "ranks": ranks}
            )
            print(f"{around} {cell['label']:20} {ranks[0]['step_seconds']:.3f} s a step", flush=True)
            arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def medians(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Label -> medians over rounds.

    Seconds of a step (of the slowest process), images/s of all, peak and held bytes of process 0; and the fastest step of all rounds, in
    which nobody else disturbed much.
    """
    found = {}
    for label in dict.fromkeys(one["label"] for one in result["runs"]):
        runs = [one for one in result["runs"] if one["label"] == label]
        n, is_apart = runs[0]["n"], label.startswith("apart")
        seconds = [max(rank["step_seconds"] for rank in one["ranks"]) for one in runs]
        images = runs[0]["ranks"][0]["batch"] * (n if is_apart else 1)
        found[label] = {
            "n": n,
            "seconds": statistics.median(seconds),
            "fastest": min(min(map(max, zip(*(rank["steps"] for rank in one["ranks"]), strict=True))) for one in runs),
            "busy": min(rank["processor_seconds"] for one in runs for rank in one["ranks"]),
            "lowest": min(seconds),
            "highest": max(seconds),
            "images": images,
            "images_per_second": images / statistics.median(seconds),
            "peak": statistics.median(one["ranks"][0]["peak_bytes"] for one in runs),
            "held": runs[0]["ranks"][0]["held"],
        }
    return found


def predicted(result: dict[str, Any], rows: dict[str, dict[str, Any]], n: int) -> dict[str, Any]:
    """Strategy -> Prediction of weak scaling, calibrated by "apart" (speed of a process among others) and by bare collectives.

    The fastest of each: paper knows no neighbours.
    """
    links = [one for one in result["links"] if one["processes"] == n]
    apart, work = rows[f"apart {n}"], Workload(**result["work"])
    memory_rate = max(one["memory_bytes_per_second"] for one in links)
    update = predict(work, _machine(1.0, memory_rate, 1.0, 1.0), DDP(), 1, 1).update
    rate = work.training_flops * result["batch"] / max(apart["fastest"] - update, 1e-9)
    bandwidth, message = max(one["bytes_per_second"] for one in links), min(one["message_seconds"] for one in links)
    cluster = _machine(rate, memory_rate, bandwidth, message)
    return {name: predict(work, cluster, sharding, n, n * result["batch"]) for name, sharding in SHARDINGS.items()}


def _machine(rate: float, memory_rate: float, bandwidth: float, latency: float) -> Cluster:
    """One node of CPU processes: communication takes the cores that would compute, so nothing overlaps."""
    return Cluster(rate, memory_rate, 1.0, 10**6, bandwidth, bandwidth, latency, latency, overlap=0.0)


def table(result: dict[str, Any]) -> str:
    """The page of a result."""
    rows = medians(result)
    one = result["runs"][0]["ranks"][0]
    alone = rows["alone"]
    loads = [run["load"] for run in result["runs"]]
    rounds, work = 1 + max(run["round"] for run in result["runs"]), result["work"]
    lines = [
        f"# Scaling on {one['machine']}",
        "",
        f"{result['date']}, torch {one['torch']}, Lightning {one['lightning']}, Python {one['python']}, {one['threads']} thread(s) per "
        f"process, load average {min(loads):.1f} to {max(loads):.1f}. Medians over {rounds} rounds of {result['steps']} steps, "
        f"{result['batch']} images per process (weak) or in all (strong).",
        f"Model: `{' '.join(result['model'])}`, {work['parameters'] / 1e6:.2f} M parameters, "
        f"{work['training_flops'] / 1e9:.2f} GFLOP per image. Peak memory: {one['peak_is']}.",
        "",
        "`python benchmarks/scaling.py` measured it; its head says what the words mean.",
        "",
        "| run | step, s (range) | images/s | efficiency | fastest step, s | its efficiency | processor, s | lost against apart | "
        "peak, MiB | weights + optimizer + EMA + copies, MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for label, row in rows.items():
        n = row["n"]
        lost = ""
        if label.endswith("weak"):
            lost = f"{1 - rows[f'apart {n}']['fastest'] / row['fastest']:.0%}"
        lines.append(
            f"| {label} | {row['seconds']:.3f} ({row['lowest']:.3f} to {row['highest']:.3f}) | {row['images_per_second']:.1f} | "
            f"{row['images_per_second'] / n / alone['images_per_second']:.2f} | {row['fastest']:.3f} | "
            f"{row['images'] / row['fastest'] / n / (alone['images'] / alone['fastest']):.2f} | {row['busy']:.3f} | {lost} | "
            f"{row['peak'] / MIB:.0f} | " + " + ".join(f"{value / MIB:.1f}" for value in row["held"].values()) + " |"
        )
    for n in sorted({link["processes"] for link in result["links"]}):
        links = [link for link in result["links"] if link["processes"] == n]
        bandwidth, message, memory = (
            sorted(link[key] for link in links)
            for key in ("bytes_per_second", "message_seconds", "memory_bytes_per_second")
        )
        lines += [
            "",
            f"Bare collectives of {n} processes, by round: all-reduce bandwidth per process {bandwidth[0] / 1e9:.2f} to "
            f"{bandwidth[-1] / 1e9:.2f} GB/s, {1e6 * message[0]:.0f} to {1e6 * message[-1]:.0f} us a message; memory "
            f"{memory[0] / 1e9:.1f} to {memory[-1] / 1e9:.1f} GB/s. The best of each enter the model on paper.",
            "",
            f"| weak, {n} processes | fastest step, s | on paper, s | off by | communication on paper | held, MiB | on paper, MiB |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, paper in predicted(result, rows, n).items():
            if row := rows.get(f"{name} {n} weak"):
                on_paper = paper.memory.weights + paper.memory.optimizer + paper.memory.averages
                held = sum(value for key, value in row["held"].items() if key != "copies")
                lines.append(
                    f"| {name} | {row['fastest']:.3f} | {paper.step:.3f} | {paper.step / row['fastest'] - 1:+.0%} | "
                    f"{paper.exposed / paper.step:.0%} | {held / MIB:.1f} | {on_paper / MIB:.1f} |"
                )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--strategies", nargs="+", default=list(SHARDINGS), choices=list(SHARDINGS))
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=600, help="seconds that one run may take")
    today = datetime.date.today().isoformat()
    parser.add_argument("--out", type=Path, default=HERE / "results" / f"{today}-scaling.md")
    parser.add_argument("--read", type=Path, help="measures nothing: makes the page of this result's JSON anew")
    parser.add_argument("overrides", nargs="*", help="of the model, after --")
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result = json.loads(given.read.read_text(encoding="utf-8")) if given.read else measure(given)
    given.out.write_text(table(result), encoding="utf-8")
    print(given.out)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main(sys.argv[1:])
