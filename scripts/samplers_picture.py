"""Draws docs/images/samplers.png from the table of the study samplers_digits: FD over calls of the network, with intervals.

    python scripts/samplers_picture.py experiments/samplers_digits/results/table.csv docs/images/samplers.png

Four panels of three samplers each, DDIM in grey and its 1,000 steps as a line in all of them.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

METRIC, FLOOR, COMPARED = "fd_digits", "ddim_1000", "ddim"
PANELS = {
    "along the noise level": ("euler", "heun", "lms"),
    "eps extrapolated in t": ("pndm", "ipndm", "deis"),
    "along the log-SNR": ("dpm2m", "dpm3m", "unipc"),
    "with noise": ("ddpm", "dpm2m_sde"),
}
COLOURS, MARKERS = ("#0072b2", "#d55e00", "#009e73"), ("o", "s", "^")


def curves(table: Path) -> dict[str, list[dict[str, str]]]:
    """Sampler -> its rows of the table, by rising calls."""
    found: dict[str, list[dict[str, str]]] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] == METRIC:
                name = row["row"] if row["row"] == FLOOR else row["row"].rpartition("_")[0]
                found.setdefault(name, []).append(row)
    return {name: sorted(rows, key=lambda row: int(row["sampling_calls"])) for name, rows in found.items()}


def main(table: Path, picture: Path) -> None:
    found = curves(table)
    floor = float(found[FLOOR][0]["mean"])
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 6.4), sharex=True, sharey=True, layout="constrained")
    for ax, (title, names) in zip(axes.flat, PANELS.items(), strict=True):
        ax.axhline(floor, color="#888888", linewidth=1, linestyle=":", label="DDIM, 1,000 calls")
        for name, colour, marker in zip((COMPARED, *names), ("#888888", *COLOURS), ("", *MARKERS), strict=False):
            rows = found[name]
            calls = [int(row["sampling_calls"]) for row in rows]
            mean, low, high = ([float(row[key]) for row in rows] for key in ("mean", "low", "high"))
            label = rows[0]["label"].rpartition(",")[0]
            ax.plot(calls, mean, color=colour, marker=marker, markersize=4, linewidth=1.5, label=label)
            ax.fill_between(calls, [max(value, 1e-3) for value in low], high, color=colour, alpha=0.15, linewidth=0)
        ax.set(xscale="log", yscale="log", title=title)
        ax.set_xticks([5, 10, 20, 50], ["5", "10", "20", "50"])
        ax.minorticks_off()
        ax.legend(fontsize=8, frameon=False)
    axes[0, 0].set_ylim(bottom=floor / 2)
    figure.supxlabel("calls of the network for an image")
    figure.supylabel("FD (digits, 2k), 95 % interval over samples")
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
