"""How a study's deciding numbers were measured, in one line."""

from __future__ import annotations

from collections.abc import Callable

from difflab.metrics import Protocol
from difflab.studies.evidence import Evidence

_NONE = "none"


def protocol_line(evidence: Evidence) -> str:
    """Of the baseline; where a row declares another sampler, number of steps or track, that of the row in brackets."""
    metric = evidence.study.evaluation.decides
    found: dict[str, Protocol] = {}
    for name, arm in evidence.arms.items():
        for replicate in arm.replicates.values():
            found.setdefault(name, replicate.measurements[metric].protocol)
    if not found:
        return "nothing was measured"
    first = next(iter(found.values()))
    reference = first.fields.get("reference.fingerprint", _NONE)
    said = [
        f"{metric} of {_count(first, 'samples')} samples",
        f"features of {first.fields.get('extractor.name', _NONE)}",
        f"reference {reference} ({_count(first, 'reference.images')} images)",
    ]
    for label, words in (("sampler", _sampler), ("steps", _steps), ("guidance", _guidance), ("track", _track)):
        of_rows = {name: _by_stage(words, protocol) for name, protocol in found.items()}
        own = next(iter(of_rows.values()))
        others = [f"{name}: {value}" for name, value in of_rows.items() if value != own]
        said.append(f"{label} {own}" + (f" ({'; '.join(others)})" if others else ""))
    # of the fields without the sampling seeds, which every replicate has its own of
    said.append(f"fingerprint {first.without('seeds').fingerprint} (sampling seeds apart)")
    return ", ".join(said)


def _by_stage(words: Callable[[Protocol], str], protocol: Protocol) -> str:
    """What is said of it; of a cascade of each stage."""
    return " then ".join(words(stage) for stage in protocol.stages() or [protocol])


def _count(protocol: Protocol, field: str) -> str:
    count = protocol.fields.get(field)
    return f"{count:,}" if isinstance(count, int) else "unknown"


def _sampler(protocol: Protocol) -> str:
    name = str(protocol.fields.get("sampler._target_", "not stated")).rsplit(".", 1)[-1]
    eta = protocol.fields.get("sampler.eta")
    return name if eta is None else f"{name} eta {eta:g}"


def _steps(protocol: Protocol) -> str:
    return str(protocol.fields.get("sampler.grid.steps", "not stated"))


def _track(protocol: Protocol) -> str:
    return str(protocol.fields.get("track", "not stated"))


def _guidance(protocol: Protocol) -> str:
    names = dict.fromkeys(name.split(".")[1] for name in protocol.fields if name.startswith("guidance."))
    scales = {name: protocol.fields.get(f"guidance.{name}.scale") for name in names}
    return " + ".join(name if scale is None else f"{name} {scale:g}" for name, scale in scales.items()) or _NONE
