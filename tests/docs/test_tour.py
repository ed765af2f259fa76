"""docs/tour.md: its stations have one form, and their commands give numbers within the bounds that stand beside them."""

import re
from dataclasses import dataclass

import pytest
from documented import ROOT, Written, fenced
from performing import run

PAGE = "docs/tour.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
_ROW = r"^\| `(\S+)` \| ([-\d.]+) \| ([-\d.]+) to ([-\d.]+) \| (.+) \| ([-\d.]+) to ([-\d.]+) \|$"


@dataclass(frozen=True)
class Number:
    """A row of a station's table.

    Attributes:
        name: Of the metric.
        value: What was measured.
        interval: Its ends.
        of: Of how many images, and how drawn.
        bounds: Between which it has to be.
    """

    name: str
    value: float
    interval: tuple[float, float]
    of: str
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Station:
    """A section of the page.

    Attributes:
        title: Its heading.
        text: What stands in it.
        commands: What is typed.
        numbers: What comes out, a number for each evaluation.
    """

    title: str
    text: str
    commands: tuple[Written, ...]
    numbers: tuple[Number, ...]

    def __str__(self) -> str:
        return self.title

    @property
    def evaluations(self) -> tuple[Written, ...]:
        return tuple(command for command in self.commands if command.words[1] == "evaluate.py")


def stations() -> list[Station]:
    commands = [command for command in fenced() if command.page == PAGE]
    found, line = [], 1
    for section in re.split(r"^(?=## )", TEXT, flags=re.MULTILINE):
        after = line + section.count("\n")
        if re.match(r"## \d{4} · ", section):
            mine = tuple(command for command in commands if line <= command.line < after)
            numbers = tuple(
                Number(name, float(value), (float(low), float(high)), of, (float(least), float(most)))
                for name, value, low, high, of, least, most in re.findall(_ROW, section, re.MULTILINE)
            )
            found.append(Station(section[3:].partition("\n")[0], section, mine, numbers))
        line = after
    return found


STATIONS = stations()


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_a_station_has_paper_words_commands_picture_number_and_further_reading(station):
    paragraphs = station.text.split("\n\n")
    assert re.match(r"\[[^\]]+: [^\]]+\]\(https://arxiv\.org/abs/[\d.]+\)", paragraphs[1]), "the paper comes first"
    assert len(paragraphs[2]) > 300
    assert re.search(r"\b(cost|price)", paragraphs[2]), "what it cost is said"
    assert station.evaluations
    assert len(station.numbers) == len(station.evaluations), "a row for each evaluate.py"
    for number in station.numbers:
        assert number.interval[0] <= number.value <= number.interval[1]
        assert number.bounds[0] <= number.value <= number.bounds[1]
        assert re.search(r"\b[\d,]+ (held-out )?(images|points), seed \d", number.of), "of how many, and which seed"
    (alternative, picture) = re.findall(r"^!\[(.+)\]\((images/tour/\w+\.png)\)$", station.text, re.MULTILINE)[0]
    assert len(alternative) > 20
    assert (ROOT / "docs" / picture).stat().st_size < 80_000
    assert re.search(r"\bFurther:\s.*(\[|`)", station.text, re.DOTALL)


def test_stations_are_in_the_order_of_their_years():
    years = [int(str(station)[:4]) for station in STATIONS]
    assert years == sorted(years)
    assert len(years) > 7
    pictures = {path.name for path in (ROOT / "docs" / "images" / "tour").iterdir()}
    assert pictures == set(re.findall(r"images/tour/(\w+\.png)", TEXT))


@pytest.mark.slow
def test_the_commands_of_the_tour_give_its_numbers(tmp_path, monkeypatch):
    """As they stand, in an empty folder, one after the other."""
    monkeypatch.chdir(tmp_path)
    wrong = []
    for station in STATIONS:
        numbers = iter(station.numbers)
        for command in station.commands:
            _, program, *words = command.words
            printed = run(
                program.removesuffix(".py"),
                [*words, "accelerator=cpu" if program != "train.py" else "trainer.accelerator=cpu"],
            )
            if command not in station.evaluations:
                continue
            number = next(numbers)
            found = float(re.findall(rf"^{re.escape(number.name)} +(\S+)", printed, re.MULTILINE)[0])
            if not number.bounds[0] <= found <= number.bounds[1]:
                wrong.append(
                    f"{station}: {number.name} of {number.of} is {found:g}, and is held within {number.bounds}"
                )
    assert not wrong, "\n".join(wrong)
