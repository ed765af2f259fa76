"""Rows -> what they cost, counted once where they have it in common."""

import re

import pytest

from difflab.config.keys import ConfigError
from difflab.config.paths import config_directory
from difflab.config.resolve import resolve_row
from difflab.networks import UNet
from difflab.studies.planning import facts as row_facts
from difflab.studies.planning.facts import RowFacts, match_row

SMALL = ["+experiment=cosine_adagn", "network.width=16"]


@pytest.fixture(scope="module")
def facts():
    return RowFacts()


@pytest.mark.parametrize(
    "name",
    ["adm/table1/base", "adm/table1/depth4", "adm/table1/biggan", "iddpm/cifar10/linear_vlb_T1000", "cosine_adagn"],
)
def test_the_cost_that_an_experiment_states(facts, name):
    """Parameters of the paper's tables (140.8 M ...), steps and batch, as each file's header has them."""
    header = (config_directory() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    stated = re.search(r"# cost +([\d.]+) M parameters, ([\d,]+) steps of (\d+) images", header)
    assert stated is not None
    row = resolve_row([f"+experiment={name}"])
    assert f"{facts.parameters(row) / 1e6:.1f}" == stated[1]
    assert row.config["trainer"]["max_steps"] == int(stated[2].replace(",", ""))
    assert row.config["data"]["batch_size"] == int(stated[3])


def test_all_facts_of_a_row(facts):
    row = resolve_row(
        [
            *SMALL,
            "trainer.max_steps=300",
            "data.batch_size=64",
            "ema=[constant,half_life]",
            "ema.half_life.half_life=100",
        ]
    )
    found = facts(row)
    assert (found.batch, found.steps, found.images, found.sampling_calls) == (64, 300, 19200, 25)
    assert found.parameters == facts.parameters(row)
    assert found.total_flops == facts.total_flops(row) == 19200 * found.training_flops
    assert found.sampling_flops == 25 * found.forward_flops
    assert found.ema_half_life_images["half_life"] == pytest.approx(100)
    assert set(found.ema_half_life_images) == {"constant", "half_life"}


@pytest.mark.parametrize(
    ("drawing", "calls"),
    [
        ([], 25),
        (["steps=10"], 10),
        (["scale=3"], 50),
        (["scale=1"], 25),
        (["sampler=ddpm", "steps=ddim20", "guidance=[classifier_free,clip]"], 40),
    ],
)
def test_drawing_is_counted_as_evaluate_would_draw(facts, drawing, calls):
    assert facts(resolve_row([*SMALL, "condition_dropout=0.1"]), drawing).sampling_calls == calls


@pytest.mark.parametrize(
    ("row", "drawing", "told"),
    [
        (SMALL, ["scale=3"], "set condition_dropout=0.1"),
        (SMALL, ["stps=3"], r"unknown key 'stps': .* did you mean 'steps'\?"),
        (SMALL, ["steps=5000"], "cannot take 5000 sampling steps out of 1000"),
        ([*SMALL, "network.width=15"], [], "heads"),
        ([*SMALL, "variance=fixed_small", "network.out_channels=2"], [], "set network.out_channels=1"),
    ],
)
def test_a_row_that_cannot_be_built_or_drawn_from(facts, row, drawing, told):
    with pytest.raises(ConfigError, match=told) as caught:
        facts(resolve_row(row), drawing)
    assert "\n" not in str(caught.value)


def test_what_rows_have_in_common_is_counted_once(monkeypatch):
    counts, whole = [], row_facts.count_network
    walks, walk = [], row_facts.count_calls
    monkeypatch.setattr(row_facts, "count_network", lambda *given: counts.append(1) or whole(*given))
    monkeypatch.setattr(row_facts, "count_calls", lambda *given: walks.append(1) or walk(*given))
    facts = RowFacts()
    for seed in range(3):
        for schedule in ("linear", "cosine"):
            facts(resolve_row([*SMALL, f"schedule={schedule}", f"seed={seed}", f"optimizer.lr={0.1 * (seed + 1)}"]))
    assert (len(counts), len(walks)) == (1, 2)


def test_rows_are_matched_by_parameters_and_by_flops(facts):
    base = ["+experiment=cosine_adagn", "network.width=40"]
    baseline, other = resolve_row(base), [*base, "network/norm=addgn"]
    wanted = facts.parameters(baseline)
    sizes = {width: facts.parameters(resolve_row([*other, f"network.width={width}"])) for width in range(32, 52, 2)}
    assert abs(sizes[40] / wanted - 1) > 0.05, "they are of different size as they are"
    found = match_row(facts, "params", "network.width", other, baseline)
    assert found.value == min(sizes, key=lambda width: abs(sizes[width] - wanted)) == 42
    assert found.difference == pytest.approx(sizes[42] / wanted - 1)
    baseline, longer = resolve_row(SMALL), [*SMALL, "trainer.max_steps=1760"]
    found = match_row(facts, "flops", "network.width", longer, baseline)
    assert found.value == 12
    assert facts.total_flops(resolve_row([*longer, *found.overrides])) == pytest.approx(
        facts.total_flops(baseline), rel=0.05
    )


@pytest.mark.parametrize(
    ("by", "key", "told"),
    [
        ("size", "network.width", "match=size: rows can be matched by params or flops"),
        ("params", "network.widht", "network.widht is no whole number in this row"),
        ("params", "schedule.steps", "schedule.steps cannot be solved for: match by network.width or network.depth"),
    ],
)
def test_a_match_that_cannot_be_made(facts, by, key, told):
    with pytest.raises(ValueError, match=told):
        match_row(facts, by, key, SMALL, resolve_row(SMALL))


def test_a_network_says_itself_by_what_it_can_be_matched(facts, monkeypatch):
    monkeypatch.setattr(UNet, "sizes", {"depth": (1,)})
    with pytest.raises(ValueError, match=r"network\.width cannot be solved for: match by network\.depth$"):
        match_row(facts, "params", "network.width", SMALL, resolve_row(SMALL))
