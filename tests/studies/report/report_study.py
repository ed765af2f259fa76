"""A study of small size on disk, made up in a second: run directories as training leaves them, and the evidence of them."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from difflab.evaluation import Measurement
from difflab.metrics import Protocol
from difflab.studies import Arm, Evidence, Replicate, Study, read_study
from difflab.studies.execution.state import CellState
from difflab.studies.planning import Facts
from fabricated import info

NASTY = 'AdaGN <script>alert("1")</script> & "zeros"'
"""A label that is code where it is not escaped."""

METRICS = ("fid", "is", "precision", "recall")
STEPS, EVERY, SHOWN = 1000, 25, (250, 500, 750, 1000)

EFFECTS = {"cosine": (-3.0, 0.25), "adagn": (-1.1, 0.2), "wide": (0.4, 0.5), "ddim10": (6.0, 0.4), "ddim50": (0.9, 0.3)}
"""Row -> its difference in FID to the baseline, and the spread of the difference over seeds."""


def study(seeds=(0, 1, 2), rows=None) -> Study:
    """Six rows: five changes of a baseline, two of which draw from its training."""
    node = {
        "question": "Which of the parts of Improved DDPM & ADM help on <small> images?",
        "source": "arXiv 2105.05233, table 3",
        "claim": "AdaGN is better than addition",
        "baseline": "base",
        "seeds": list(seeds),
        "experiment": "cosine_adagn",
        "evaluation": {"decides": "fid", "metrics": list(METRICS), "overrides": ["num_samples=1000"]},
        "margins": {"fid": "6 %"},
        "rows": rows
        or {
            "base": {"label": "Baseline (linear)", "published": {"fid": _published(15.08)}},
            "cosine": {"label": "Cosine schedule", "change": ["schedule"], "published": {"fid": _published(13.06)}},
            "adagn": {"label": NASTY, "change": ["network.norm", "optimizer.lr"]},
            "wide": {"label": "Width 56", "change": ["network.width"], "overrides": ["network.width=56"]},
            "ddim10": {"label": "10 steps", "change": ["draw.steps"], "draw": ["steps=10"]},
            "ddim50": {"label": "50 steps", "change": ["draw.steps"], "draw": ["steps=50"]},
        },
    }
    return read_study(node, "parts", "study.yaml")


def _published(value: float) -> dict:
    return {"value": value, "source": "arXiv 2105.05233, table 3", "confidence": "paper"}


def evidence(root: Path, study: Study, missing=(), grids=True, lines=STEPS // EVERY) -> Evidence:
    """What the study found; writes the run directories.

    missing   pairs (row, seed) without a result
    """
    arms = {}
    for name, row in study.rows.items():
        trained = study.baseline if row.draw else name
        replicates = {}
        for seed in study.seeds:
            run = root / study.name / trained / f"{trained}-{seed:04d}"
            if not run.exists():
                write_run(run, trained, seed, complete=(name, seed) not in missing, grids=grids, lines=lines)
            if (name, seed) not in missing:
                replicates[seed] = Replicate(seed, run, measurements(name, seed, 50 if name != "ddim10" else 10))
        arms[name] = Arm(
            row=row,
            config=config(name, study.seeds[0]),
            facts=Facts(1_900_000 + 400_000 * (name == "wide"), 2.1e8, 7e7, 25, 128, STEPS, {"warm_up": 17_700.0}),
            replicates=replicates,
            missing=tuple(seed for seed in study.seeds if (name, seed) in missing),
            published=row.published,
            follows=("sampler.grid.steps",) if name == "cosine" else (),
        )
    return Evidence(study, arms)


def states(root: Path, study: Study, missing=()) -> list[CellState]:
    """Of all cells; those that are missing have failed half-way."""
    found = []
    for name, row in study.rows.items():
        trained = study.baseline if row.draw else name
        for seed in study.seeds:
            run, failed = root / study.name / trained / f"{trained}-{seed:04d}", (name, seed) in missing
            state, step = ("failed", STEPS // 2) if failed else ("done", STEPS)
            error = "RuntimeError: <out of memory>" if failed else ""
            found.append(CellState(name, seed, run.name, run, state, step, STEPS, error=error))
    return found


def _random(*words) -> np.random.Generator:
    return np.random.default_rng([sum(map(ord, str(word))) * (i + 3) for i, word in enumerate(words)])


def value(name: str, metric: str, seed: int) -> float:
    """The seed's luck is shared by all rows, as common random numbers share it."""
    mean, spread = EFFECTS.get(name, (0.0, 0.0 if name == "base" else 0.3))
    luck = float(_random("seed", seed).normal(0, 1.2))
    fid = 12.0 + luck + mean + float(_random(name, seed).normal(0, spread))
    of = {"fid": fid, "is": 9.9 - 0.11 * fid, "precision": 0.9 - 0.015 * fid, "recall": 0.35 + 0.012 * fid}
    return of[metric]


def measurements(name: str, seed: int, steps: int) -> dict[str, Measurement]:
    fields = {
        "extractor": {"name": "digits", "fingerprint": "3f2a91c7d0b4"},
        "reference": {"fingerprint": "77ab12de90ff", "images": 1797},
        "sampler": {"_target_": "difflab.samplers.DDIM", "eta": 0.0, "grid": {"steps": steps}},
        "track": "warm_up",
        "seeds": {"first": seed * 1000, "count": 1000},
        "quantization": "round",
        "samples": 1000,
    }
    return {
        metric: Measurement(
            metric, value(name, metric, seed), 1000, Protocol.of(fields | {"metric": metric}), 0.2, 100, info(metric)
        )
        for metric in METRICS
    }


def config(name: str, seed: int) -> dict:
    """Resolved, in part."""
    return {
        "seed": seed,
        "run": {"name": f"parts/{name}", "root": "runs"},
        "schedule": {"_target_": f"difflab.schedules.{'Cosine' if name == 'cosine' else 'Linear'}", "steps": 50},
        "network": {"width": 56 if name == "wide" else 48, "norm": {"kind": "adagn" if name == "adagn" else "addgn"}},
        "optimizer": {"lr": 0.002 if name == "adagn" else 0.001},
        "trainer": {"max_steps": STEPS},
        "data": {"batch_size": 128},
    }


def write_run(run: Path, name: str, seed: int, complete: bool, grids: bool, lines: int) -> None:
    """metrics.jsonl, provenance.json, complete.json and sample grids."""
    run.mkdir(parents=True)
    noise, last = _random(name, seed), STEPS if complete else STEPS // 2
    fid, rows = value(name, "fid", seed), []
    for step in np.linspace(STEPS / lines, STEPS, lines).round().astype(int).tolist():
        if step > last:
            break
        loss = 0.03 + 0.6 * math.exp(-step / 120) + 0.002 * (fid - 12) + float(noise.normal(0, 0.002))
        row = {"step": step, "train/loss": loss}
        row |= {f"train/loss_q{q}": loss * (2.2 - 0.45 * q) * (1 + float(noise.normal(0, 0.01))) for q in (1, 2, 3, 4)}
        row |= {"train/images": step * 128.0, "train/images_per_second": 600.0 + float(noise.normal(0, 15))}
        if step in SHOWN:
            row |= {
                "eval/warm_up/fid@1k": fid * (1 + 5 * math.exp(-step / 250)),
                "eval/warm_up/is@1k": 9.9 - 0.11 * fid,
            }
        rows.append(json.dumps(row))
    (run / "metrics.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (run / "provenance.json").write_text(json.dumps(_starts(seed, last, complete)), encoding="utf-8")
    (run / "config.yaml").write_text(f"seed: {seed}\n", encoding="utf-8")
    if complete:
        (run / "complete.json").write_text("{}", encoding="utf-8")
    if grids:
        (run / "samples").mkdir()
        for step in (s for s in SHOWN if s <= last):
            _grid(noise, step).save(run / "samples" / f"warm_up_{step:08d}.png")
        if complete:
            _grid(noise, 300).save(run / "samples" / f"trajectory_{STEPS:08d}.png")


def _starts(seed: int, last: int, complete: bool) -> list[dict]:
    first = {
        "started": "2026-11-20T10:00:00+00:00",
        "ended": "2026-11-20T10:02:30+00:00",
        "command": f"python train.py seed={seed}",
        "difflab": "0.1.0",
        "git": {
            "commit": "4ddb0d1f8a6e3bd0c2a49d1f5c0b7d28a91e6c33",
            "changed_files": ["M a.py"] if seed == 2 else [],
            "diff": "",
        },
        "host": "node1",
        "cpu_count": 2,
        "gpus": [],
        "from_step": 0,
        "to_step": last,
        "outcome": "complete" if complete else "failed",
        "seconds": 150.0,
    }
    if seed != 1 or not complete:
        return [first]
    cut = first | {"outcome": "interrupted", "to_step": 400, "seconds": 61.0}
    return [cut, first | {"started": "2026-11-20T10:05:00+00:00", "from_step": 400, "seconds": 92.0}]


def _grid(noise: np.random.Generator, step: int) -> Image.Image:
    """Blobs that grow out of noise."""
    y, x = np.mgrid[0:8, 0:8]
    tiles = []
    for i in range(20):
        blob = np.exp(-(((x - 2 - i % 4) ** 2 + (y - 2 - i // 5) ** 2) / 5.0)) * 255
        share = 0.9 * step / STEPS
        mixed = blob * share + noise.uniform(0, 255, (8, 8)) * (1 - share)
        tiles.append(np.pad(mixed.clip(0, 255).repeat(8, 0).repeat(8, 1), 1, constant_values=255))
    rows = [np.concatenate(tiles[i : i + 10], axis=1) for i in (0, 10)]
    return Image.fromarray(np.concatenate(rows).astype(np.uint8)).convert("RGB")
