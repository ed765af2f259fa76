"""Where the bits of a bound are: its terms over time, and how good an image is after so many of them (Ho et al. 2020, figures 5, 6).

Progressive coding sends x_T, then x_{T-1} given x_T, and so on. Term i of the bound is what x_{i-1} costs whoever has x_i. So far

    rate(i)       = prior + sum_{j > i} vb_j                          bits per dimension
    distortion(i) = 127.5 sqrt( E |x_0 prediction(x_i) - x_0|^2 )     grey levels of 255

and after the last term, the decoder's, the image itself: rate(0) is the bound, and nothing is left of the distortion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from difflab.evaluation.options import EvaluationOptions
from difflab.evaluation.results import Results
from difflab.evaluation.run import Measured
from difflab.files import atomic_file
from difflab.pictures import COLOUR_BLIND_SAFE
from difflab.reading import FileError, printable, read_text
from difflab.reading.json import fields
from difflab.runtime.invocation import installation

GREY_LEVELS = 127.5
"""Of 255, in a unit of the interval [-1, 1]."""


@dataclass(frozen=True)
class BoundTerms:
    """What a bound is the sum of, means over images: the cleanest step first.

    Attributes:
        value: The bound, bits per dimension.
        prior: What belongs to no step.
        samples: Images.
        t: The time at each step's noisy end.
        vb: Each step's term.
        x0_mse: Each step's squared error of x_0, in [-1, 1].
    """

    value: float
    prior: float
    samples: int
    t: Sequence[float]
    vb: Sequence[float]
    x0_mse: Sequence[float]

    @classmethod
    def read(cls, content: Any, where: str) -> BoundTerms:
        """What `BitsPerDim.to_dict` has made.

        Raises:
            FileError: It is no such thing.
        """
        numbers = fields(content, where, {"value": float, "prior": float, "samples": int, "steps": dict})
        lists = fields(numbers["steps"], f"{where}.steps", dict.fromkeys(("t", "vb", "x0_mse"), list))
        columns = [lists[name] for name in ("t", "vb", "x0_mse")]
        whole = all(isinstance(one, int | float) and not isinstance(one, bool) for column in columns for one in column)
        if not whole or len({len(column) for column in columns}) > 1:
            raise FileError(f"{where}.steps: expected as many numbers in t, vb and x0_mse.")
        return cls(numbers["value"], numbers["prior"], numbers["samples"], *columns)

    @property
    def rate(self) -> list[float]:
        """Bits per dimension after which x_t is known, t falling: of the chain's noisy end, of each step, and of the image itself."""
        found = [self.prior]
        for term in reversed(self.vb):
            found.append(found[-1] + term)
        return found

    @property
    def distortion(self) -> list[float]:
        """Root mean squared error in grey levels of 255 at each rate; 0 at the last."""
        return [*(GREY_LEVELS * math.sqrt(max(error, 0.0)) for error in reversed(self.x0_mse)), 0.0]

    @classmethod
    def mean(cls, several: Sequence[BoundTerms]) -> BoundTerms:
        """Of the same chain, over seeds."""
        columns = [
            [fmean(values) for values in zip(*(getattr(one, name) for one in several), strict=True)]
            for name in ("t", "vb", "x0_mse")
        ]
        return cls(
            fmean(one.value for one in several),
            fmean(one.prior for one in several),
            sum(one.samples for one in several),
            *columns,
        )


@dataclass(frozen=True)
class Line:
    """A curve of the picture.

    Attributes:
        name: In the legend.
        seeds: The terms of one run, or of runs that differ in their seed alone, of which the mean is drawn as well.
    """

    name: str
    seeds: Sequence[BoundTerms]


def announce_bits(options: EvaluationOptions, rank: int) -> None:
    """Says before any work, on process 0, that there will be no picture where one is asked for and cannot be drawn."""
    if rank == 0 and options.bits_per_dim and find_spec("matplotlib") is None:
        print(
            f"bits_per_dim is measured and its terms are not drawn: bits.png needs matplotlib, {installation('report')}"
        )


def show_bits(options: EvaluationOptions, measured: Sequence[Measured]) -> None:
    """Draws what was measured of several seeds, and prints where it is.

    Args:
        options: Of the evaluation.
        measured: Of process 0.
    """
    if options.bits_per_dim:
        for line in pictures_of_bits(measured, [one.images.about.get("run") or one.images.name for one in measured]):
            print(line)


def compared_bits(options: EvaluationOptions, files: Sequence[str]) -> list[str]:
    """Draws the terms that results files have over each other, where the command names a folder for it, and says in a line where."""
    return [] if options.out is None else [*map(printable, picture_of_files(files, Path(str(options.out))))]


def terms_of(results: Results, where: str) -> BoundTerms | None:
    """The terms that a file has of a bound; None where there are none, as of a likelihood without steps.

    Args:
        results: The numbers.
        where: Their file, for errors.
    """
    for metric in dict.fromkeys(one.metric for one in reversed(results.measurements)):
        content = results.subject.get(metric)
        if isinstance(content, Mapping) and "steps" in content:
            terms = BoundTerms.read(content, f"{where}: subject.{metric}")
            if len(terms.t):
                return terms
    return None


def pictures_of_bits(measured: Sequence[Measured], names: Sequence[str], beside: Path | None = None) -> Iterator[str]:
    """Draws bits.png beside the results of each, and one of all where there are several; says in a line where, or why not.

    Args:
        measured: Of one process, with bits per dimension.
        names: What they are called in a picture of all: one name for seeds of one experiment, whose mean is then drawn.
        beside: Folder of the picture of all, in place of one beside the results of each; None for both, the former beside the first.
    """
    if find_spec("matplotlib") is None:
        return
    found = [
        (one, name, terms_of(one.results, str(one.images.file))) for one, name in zip(measured, names, strict=True)
    ]
    drawn = [(one, name, terms) for one, name, terms in found if terms is not None]
    if not drawn:
        yield "bits     not drawn: this likelihood is no sum over steps"
        return
    if beside is None:
        for one, _, terms in drawn:
            path = one.images.folder / "bits.png"
            draw_bits([Line(one.images.name, [terms])], path, _title([terms]))
            yield f"bits     {path}"
    if len(drawn) > 1:
        path = drawn[0][0].images.folder / "bits_together.png" if beside is None else beside / "bits.png"
        draw_bits(lines_of([(name, terms) for _, name, terms in drawn]), path, _title([terms for *_, terms in drawn]))
        yield f"bits     {path}"


def picture_of_files(files: Sequence[str], folder: Path) -> Iterator[str]:
    """bits.png of the results of several runs over each other; nothing where none has terms of a bound.

    Args:
        files: The results, or the folders that they lie in.
        folder: Of the picture.
    """
    places = [Path(file) / "results.json" if Path(file).is_dir() else Path(file) for file in files]
    results = [Results.from_json(read_text(place), place) for place in places]
    read = [terms_of(one, str(place)) for one, place in zip(results, places, strict=True)]
    about = list(zip(results, read, places, strict=True))
    names = [f"{one.subject.get('run') or place.parent.name} seed {one.subject.get('seed')}" for one, _, place in about]
    steps = ["" if terms is None else f", {len(terms.t)} steps" for terms in read]
    for ending in (steps, [f" ({place.parent.name})" for place in places]):  # told apart by how they were drawn
        names = [name + end if names.count(name) > 1 else name for name, end in zip(names, ending, strict=True)]
    drawn = [(name, terms) for name, terms in zip(names, read, strict=True) if terms is not None]
    if drawn and find_spec("matplotlib") is None:
        yield f"bits     not drawn: that needs matplotlib, {installation('report')}"
    elif drawn:
        draw_bits(
            [Line(name, [terms]) for name, terms in drawn], folder / "bits.png", _title([one for _, one in drawn])
        )
        yield f"bits     {folder / 'bits.png'}"


def lines_of(named: Sequence[tuple[str, BoundTerms]]) -> list[Line]:
    """Those of one name and one chain are seeds of one line."""
    lines: dict[tuple[str, tuple[float, ...]], list[BoundTerms]] = {}
    for name, terms in named:
        lines.setdefault((name, tuple(terms.t)), []).append(terms)
    return [Line(name, seeds) for (name, _), seeds in lines.items()]


def _title(terms: Sequence[BoundTerms]) -> str:
    counts = sorted({one.samples for one in terms})
    return f"Where the bits are: means over {' or '.join(f'{count:,}' for count in counts)} images"


def draw_bits(lines: Sequence[Line], path: Path, title: str) -> None:
    """A picture (PNG): left the terms over t, right distortion against rate.

    Args:
        lines: What is overlaid.
        path: Of the picture.
        title: Above both.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    over_time, against_rate = figure.subplots(1, 2)
    for number, line in enumerate(lines):
        colour, several = COLOUR_BLIND_SAFE[number % len(COLOUR_BLIND_SAFE)], len(line.seeds) > 1
        for one in line.seeds if several else ():
            over_time.plot(one.t, _logarithmic(one.vb), color=colour, linewidth=0.7, alpha=0.5)
            against_rate.plot(one.rate, one.distortion, color=colour, linewidth=0.7, alpha=0.5)
        mean = BoundTerms.mean(line.seeds) if several else line.seeds[0]
        name = f"{line.name}: {mean.value:.3f} bits/dim" + (f", mean of {len(line.seeds)} seeds" if several else "")
        style = ("-", "--", "-.", ":")[number // len(COLOUR_BLIND_SAFE) % 4]
        over_time.plot(mean.t, _logarithmic(mean.vb), style, color=colour, linewidth=1.6, label=name)
        over_time.plot(mean.t[:1], _logarithmic(mean.vb[:1]), "s", color=colour, markersize=6)
        over_time.plot([1.0], _logarithmic([mean.prior]), "^", color=colour, markersize=7, clip_on=False)
        against_rate.plot(mean.rate[:-1], mean.distortion[:-1], style, color=colour, linewidth=1.6)
        against_rate.plot(mean.rate[-2:], mean.distortion[-2:], ":", color=colour, linewidth=1.6)
        against_rate.plot(mean.rate[-2], mean.distortion[-2], "s", color=colour, markersize=6)
        against_rate.plot(mean.rate[-1], mean.distortion[-1], "o", color=colour, markersize=6, clip_on=False)
        against_rate.plot(mean.rate[0], mean.distortion[0], "^", color=colour, markersize=7, clip_on=False)
    over_time.set_yscale("log")
    over_time.set_xscale("log")
    over_time.set_xlabel("t (1 is noise)")
    over_time.set_ylabel("term [bits/dim]")
    over_time.set_title("Terms of the bound\ntriangle: prior, square: decoder", fontsize=10)
    against_rate.set_xlim(left=-0.02 * max(one.value for line in lines for one in line.seeds))
    against_rate.set_ylim(bottom=0)
    against_rate.set_xlabel("rate [bits/dim]")
    against_rate.set_ylabel("RMSE of predicted x_0 [of 255]")
    against_rate.set_title("Distortion after so many bits\ntriangle: x_T alone, circle: all terms", fontsize=10)
    for axes in (over_time, against_rate):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=1 if len(lines) < 3 else 2, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


def _logarithmic(values: Sequence[float]) -> list[float]:
    """With gaps where a term is nothing, as that of an end without signal: a logarithmic axis has no place for it."""
    return [value if value > 0 else math.nan for value in values]
