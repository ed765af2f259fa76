"""The scaling benchmark on a tiny model: what it measures is what is there, and its page follows from its records."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
TINY = ["+experiment=cosine_adagn", "network.width=16", "trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def programs():
    """scaling.py and scaling_worker.py."""
    found = []
    for name in ("scaling", "scaling_worker"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        found.append(module)
    yield found
    for name in ("scaling", "scaling_worker"):
        del sys.modules[name]


def test_a_measurement(programs, tmp_path):
    _, worker = programs
    plan = {"label": "alone", "overrides": [*TINY, "data.batch_size=4"], "steps": 3, "warm_up": 1, "out": str(tmp_path)}
    worker.main(plan)
    worker.main({"what": "work", "label": "work", "overrides": TINY, "out": str(tmp_path)})
    found = json.loads((tmp_path / "alone-0.json").read_text(encoding="utf-8"))
    work = json.loads((tmp_path / "work-0.json").read_text(encoding="utf-8"))["work"]
    assert len(found["steps"]) == 3
    assert found["images_per_second"] == pytest.approx(4 / sorted(found["steps"])[1])
    size = 4 * work["parameters"]
    assert found["held"] == {"weights": size, "optimizer": 2 * size, "averages": size, "copies": 0}


def record(label: str, n: int, seconds: list[float], held: int) -> dict:
    rank = {
        "batch": 8 * n if label.startswith("ddp") else 8,
        "peak_bytes": 2**20,
        "peak_is": "resident",
        "machine": "M",
    }
    rank |= {"held": {"weights": held, "optimizer": 2 * held, "averages": held, "copies": 0}}
    rank |= dict.fromkeys(("torch", "lightning", "python", "threads"), "1")
    ranks = [rank | {"step_seconds": one, "steps": [2 * one, one], "processor_seconds": one / 2} for one in seconds]
    return {"round": 0, "label": label, "n": n, "load": 1.0, "ranks": ranks}


def test_a_page(programs):
    """Of processes as fast apart as alone, whose all-reduce takes a known time: the model on paper has to find the step."""
    scaling, _ = programs
    parameters, bandwidth = 10**6, 1e8
    sent = 4 * parameters  # 2 (n - 1) / n of the gradients for n = 2
    alone, together = 0.2, 0.2 + sent / bandwidth
    result = {
        "date": "2026-01-01",
        "model": TINY,
        "batch": 8,
        "steps": 3,
        "work": {"parameters": parameters, "training_flops": 1e9, "activation_bytes": 1e6}
        | {"operations": 10, "blocks": 3, "largest_block": 10**5},
        "links": [
            {"processes": 2, "bytes_per_second": bandwidth, "message_seconds": 0.0, "memory_bytes_per_second": 1e10}
        ],
        "runs": [
            record("alone", 1, [alone], sent),
            record("apart 2", 2, [alone, alone], sent),
            record("ddp 2 weak", 2, [together, 0.9 * together], sent),
        ],
    }
    rows = scaling.medians(result)
    assert rows["ddp 2 weak"]["seconds"] == together, "the slowest process's"
    assert rows["apart 2"]["images_per_second"] == pytest.approx(80)
    assert scaling.predicted(result, rows, 2)["ddp"].step == pytest.approx(together)
    page = scaling.table(result)
    assert "| ddp 2 weak | 0.240 (0.240 to 0.240) | 66.7 | 0.83 | 0.240 | 0.83 | 0.108 | 17% |" in page
    assert "| ddp | 0.240 | 0.240 | +0% | 17% | 15.3 | 15.3 |" in page


def test_cells(programs):
    scaling, _ = programs
    cells = scaling.cells([1, 2, 3], ["ddp", "deepspeed_3"], 8, TINY)
    assert [cell["label"] for cell in cells] == [
        "alone",
        "apart 2",
        "ddp 2 weak",
        "deepspeed_3 2 weak",
        "ddp 2 strong",
        "apart 3",
        "ddp 3 weak",
        "deepspeed_3 3 weak",
    ]
    sizes = {cell["label"]: [o for o in cell["overrides"] if o.startswith("data.batch_size")] for cell in cells}
    assert sizes["ddp 2 weak"] == ["data.batch_size=16"]
    assert sizes["ddp 2 strong"] == sizes["apart 2"] == ["data.batch_size=8"]


@pytest.mark.slow
def test_two_processes(programs, tmp_path):
    scaling, _ = programs
    page = tmp_path / "page.md"
    arguments = ["--rounds", "1", "--steps", "2", "--warm-up", "1", "--batch", "4", "--strategies", "ddp", "fsdp"]
    sys.path.insert(0, str(FOLDER))
    try:
        scaling.main([*arguments, "--out", str(page), "--", *TINY])
    finally:
        sys.path.remove(str(FOLDER))
    result = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    held = {run["label"]: [rank["held"] for rank in run["ranks"]] for run in result["runs"]}
    whole = 4 * result["work"]["parameters"]
    assert [one["weights"] for one in held["ddp 2 weak"]] == [whole, whole]
    assert sum(one["optimizer"] for one in held["fsdp 2 weak"]) == 2 * whole
    assert "| fsdp 2 weak |" in page.read_text(encoding="utf-8")
