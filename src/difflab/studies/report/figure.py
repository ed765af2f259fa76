"""Paired differences under each other, and numbers of them in few signs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from difflab.formatting import NOTHING, signed
from difflab.pages import Look, Plot, plot, trace
from difflab.studies.evidence import Evidence
from difflab.studies.scale import Margin
from difflab.studies.statistics import PairedDifference, Speedup, Verdict

ROW_HEIGHT, CLOSE_ROW_HEIGHT, FEW = 54, 34, 20
"""In pixels; with more than a few rows they come closer."""

MINUS = re.compile(r"(?<![\w.)])-(?=\d)")


def forest(evidence: Evidence, verdicts: Mapping[str, Verdict], metric: str, looks: Mapping[str, Look]) -> Plot | None:
    """None where no row has a difference."""
    known = [(name, one, one.difference) for name, one in verdicts.items() if one.difference is not None]
    if not known:
        return None
    info, title = evidence.info(metric), evidence.label(metric)
    margin, alpha = evidence.study.margins.get(metric), evidence.study.alpha
    labels = {name: arm.row.label for name, arm in evidence.arms.items()}
    traces, rows, count = [], [], len(known)
    for i, (name, verdict, difference) in enumerate(known):
        y, look, label = count - 1 - i, looks[name], labels[name]
        seeds, unit = difference.by_seed, difference.scale.unit
        told = [typeset(f"{label}\nseed {seed}: {signed(value, None)[0]}{unit}") for seed, value in seeds.items()]
        places = [y - 0.17] * len(seeds)
        traces.append(
            trace(name, look, "seeds", list(seeds.values()), places, 2.5, swarm=True, hover=told) | {"mark": "circle"}
        )
        interval = finite(difference.limits)
        if interval:
            traces.append(trace(name, look, "span", [difference.value], [y], xlow=[interval[0]], xhigh=[interval[1]]))
        hover = f"{label} − {labels[verdict.against]}\n{numbers(difference)}\n{verdict.outcome}"
        traces.append(trace(name, look, "points", [difference.value], [y], 5.5, hover=[hover]))
        rows.append({"y": y, "label": label, "text": numbers(difference), "outcome": str(verdict.outcome)})
    shade = _unmoved(margin, known[0][2])
    ends = ("worse", "better") if info and info.higher_is_better else ("better", "worse")
    unit = ", per cent" if known[0][2].scale.unit else ""
    layout = {
        "x": {
            "title": f"difference in {title}{unit}, with {100 * (1 - alpha):g} % interval",
            "key": metric,
            "ends": ends,
            "range": _range([difference for _, _, difference in known], shade),
        },
        "y": {"range": [-0.62, count - 0.38]},
        "zero": "x",
        "shade": shade,
        "rows": rows,
    }
    says = "; ".join(f"{row['label']}: {row['text']}, {row['outcome']}" for row in rows)
    height = count * (ROW_HEIGHT if count <= FEW else CLOSE_ROW_HEIGHT) + 90
    return plot("forest", traces, layout, f"Differences in {title} to the row compared with. {says}", height)


def numbers(difference: PairedDifference) -> str:
    """−1.20 [−1.60, −0.80], or −8 % [−12, −4]."""
    limits, unit = finite(difference.limits), difference.scale.unit
    half = None if limits is None else difference.half_width
    value = typeset(signed(difference.value, half)[0]) + unit
    if limits is None:
        return f"{value} (no interval from {difference.n} seed{'s' * (difference.n > 1)})"
    low, high = (typeset(signed(end, half)[0]) for end in limits)
    return f"{value} [{low}, {high}]"


def typeset(text: str) -> str:
    """With the minus sign of print before numbers."""
    return MINUS.sub("−", text)


def finite(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval if interval is not None and np.isfinite(interval).all() else None


def _unmoved(margin: Margin | None, difference: PairedDifference) -> tuple[float, float] | None:
    """The differences that make no difference, in the plot's unit; None where the margin is on another scale."""
    if margin is None or margin.scale is not difference.scale:
        return None
    return margin.scale.told(-margin.reach), margin.scale.told(margin.reach)


def _range(differences: Sequence[PairedDifference], unmoved: tuple[float, float] | None) -> list[float]:
    """Around all differences, seeds, margins and zero; an interval that is much longer than these runs out of the plot."""
    inner = [x for d in differences for x in (d.value, *d.by_seed.values())] + [0.0, *(unmoved or ())]
    low, high = min(inner), max(inner)
    room = 1.5 * ((high - low) or 1.0)
    ends = [end for d in differences for end in finite(d.limits) or ()]
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    least, most = differences[0].bounds
    return [max(least, low - 0.06 * (high - low)), min(most, high + 0.06 * (high - low))]


def ratio(found: Speedup) -> str:
    """1.82 × [1.40, 2.37]."""
    if found.ratio is None:
        return NOTHING
    ends = "" if found.interval is None else f" [{found.interval[0]:.2f}, {found.interval[1]:.2f}]"
    return f"{found.ratio:.2f} ×{ends}"


def difference(found: PairedDifference) -> str:
    return numbers(found)


def outcomes(found: Sequence[str]) -> str:
    """In order if they are few, else counted."""
    if len(found) <= 6:
        return " → ".join(found)
    return ", ".join(f"{count} × {word}" for word, count in Counter(found).items())


def plainly(value: object) -> str:
    """Of a protocol's field."""
    return NOTHING if value is None else str(value)


def sentence(text: str) -> str:
    """Ends in a full stop and has no sign of the terminal."""
    text = typeset(text.replace("-/+", "±").replace(" .. ", " to "))
    return text if text.endswith((".", "!", "?")) else f"{text}."
