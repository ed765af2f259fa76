"""One subject measured: everything checked, drawn, embedded, measured, written and told."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from omegaconf import DictConfig

from difflab.config.build import plain
from difflab.distributed import Processes
from difflab.evaluation.bits_per_dim import measure_bound
from difflab.evaluation.build import notes_on
from difflab.evaluation.evaluator import Evaluator
from difflab.evaluation.published import compare_with_targets, published_table, read_targets
from difflab.evaluation.results import Results
from difflab.evaluation.sources import DrawnImages, Subject
from difflab.evaluation.tables import results_table
from difflab.evaluation.torch_fidelity import compare, comparison
from difflab.features import FeatureSet
from difflab.files import write_text


@dataclass(frozen=True)
class Measured:
    """features   of the images; None if none were drawn, for bits per dimension alone"""

    subject: Subject
    evaluator: Evaluator
    features: FeatureSet | None
    results: Results


def measure_subject(config: DictConfig, subject: Subject, evaluator: Evaluator, processes: Processes) -> Measured:
    """All processes must call it; the numbers are those of process 0, which writes them to <folder>/results.json.

    What metrics warn of is kept there as notes, which everybody who shows the numbers can tell: a log is read by few.
    """
    features, found, notes = None, [], []
    try:
        if evaluator.metrics or evaluator.of_images:
            images = subject.images(processes)
            if evaluator.metrics:
                features = evaluator.embed(images, processes, "samples")
                evaluator.load(processes)
                if processes.rank == 0:
                    with warnings.catch_warnings(record=True) as warned:
                        warnings.simplefilter("always")
                        found = evaluator.measure(features, subject.fields)
                    if config.check:
                        subject.about["torch_fidelity"] = compare(evaluator, images, found, processes.device)
                    notes = [*notes_on(evaluator, images, features), *dict.fromkeys(str(one.message) for one in warned)]
            if evaluator.of_images:
                evaluator.of_images.prepare(subject.count, subject.pairs)
                evaluator.of_images.to(processes.device)
                found = found + evaluator.of_images.measure(images, subject.fields)
        else:
            processes.start()
        if config.bits_per_dim and isinstance(subject, DrawnImages):
            bound = measure_bound(config.bits_per_dim, subject.plan, evaluator, processes)
            found.append(bound.measurement)
            subject.about["bits_per_dim"] = bound.found.to_dict()
        if notes:
            subject.about["notes"] = notes
        results = Results(found, subject.about)
        if processes.rank == 0:
            results = _together(subject.earlier(), results)
            write_text(subject.file, results.to_json())
    finally:
        subject.end()
    return Measured(subject, evaluator, features, Results(found, subject.about))


def _together(earlier: Results, results: Results) -> Results:
    """With what was measured before under other protocols."""
    now = {(m.metric, m.protocol.fingerprint) for m in results.measurements}
    before = [m for m in earlier.measurements if (m.metric, m.protocol.fingerprint) not in now]
    notes = [*earlier.subject.get("notes", []), *results.subject.get("notes", [])]
    about = {"notes": list(dict.fromkeys(notes))} if notes else {}
    return Results([*before, *results.measurements], earlier.subject | results.subject | about)


def tell(measured: Measured) -> None:
    """The numbers, what was published of them, and where they are."""
    subject, results = measured.subject, measured.results
    print(results_table(results, subject.name))
    targets = read_targets(plain(subject.model.get("target") or {})) if subject.model is not None else []
    if targets:
        compared = compare_with_targets(results, targets, subject.about.get("step"))
        missing = [target for target in targets if target.metric not in {m.metric for m in results.measurements}]
        print(published_table(compared, missing))
    if "torch_fidelity" in subject.about:
        print(comparison(subject.about["torch_fidelity"]))
    for note in subject.about.get("notes", []):
        print(f"note     {note}")
    print(f"results  {subject.file}")
