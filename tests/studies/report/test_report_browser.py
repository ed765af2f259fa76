"""The page in a headless browser: one load for both widths, the other scheme by emulation."""

import shutil
from datetime import date

import pytest
from report_study import SHOWN, evidence, states, study

from difflab.studies.report import write_report

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
DRAWN = "() => [...document.querySelectorAll('.plot')].every(e => e.querySelector('svg .point, svg .stroke'))"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The page, what its console said, and what it asked for."""
    root, asked = tmp_path_factory.mktemp("browser"), study()
    path = write_report(evidence(root, asked), states(root, asked), root / "report.html", date(2026, 11, 21))
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=DESKTOP, color_scheme="light")
        said, asked_for = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function(DRAWN)
        yield page, said, asked_for, root
        browser.close()


@pytest.fixture
def page(opened):
    page = opened[0]
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", media="screen")
    return page


def colour_of(page, selector, property):
    return page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{property}")


def settle(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_screen(page, opened, size, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for box in page.locator(".plot").all():
        drawn = box.locator("svg").first.bounding_box()
        assert drawn is not None
        assert drawn["width"] <= size["width"]
        assert drawn["width"] > 0.75 * min(size["width"], 420)
    shot = opened[3] / f"{size['width']}-{scheme}.png"
    page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 50_000


def test_the_scheme_restyles_page_and_plots(page):
    def seen():
        settle(page)
        trace = ".plot[data-figure=figure-forest] .points[data-row=cosine] .point"
        return (
            colour_of(page, "body", "backgroundColor"),
            colour_of(page, trace, "fill"),
            page.locator(".theme").inner_text(),
        )

    light = seen()
    page.emulate_media(color_scheme="dark")
    dark = seen()
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert (light[2], dark[2]) == ("Dark", "Light")
    page.locator(".theme").click()  # in the dark the button asks for light, whatever the system says
    assert seen() == light
    page.locator(".theme").click()
    assert seen() == dark
    page.evaluate("() => { localStorage.clear(); Theme.chosen = null; Theme.apply(); }")


def test_the_colour_of_a_row_is_the_same_in_table_and_plot(page):
    swatch = page.locator(".ablation tr[data-row=cosine] th").evaluate(
        "e => getComputedStyle(e, '::before').backgroundColor"
    )
    point = ".plot[data-figure=figure-tradeoff-fid-is] .points[data-row=cosine] .point"
    assert colour_of(page, point, "fill") == swatch


def test_the_slider_moves_all_rows_together(page):
    images = page.locator(".panel img")

    def sources():
        return [image.get_attribute("src") for image in images.all()]

    last = sources()
    assert images.count() == 4
    assert len(set(last)) == 4
    page.locator("#samples-step").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#samples-at").inner_text() == f"step {SHOWN[-2]}"
    earlier = sources()
    assert not set(last) & set(earlier)
    page.locator("#samples-seed").select_option("2")
    assert not set(sources()) & {*last, *earlier}
    assert all(image.evaluate("e => e.complete && e.naturalWidth > 0") for image in images.all())
    page.locator("#samples-seed").select_option("0")
    page.keyboard.press("Escape")


def test_pointing_at_a_sample_enlarges_it_in_all_rows(page):
    picture = page.locator(".panel .picture").first
    picture.scroll_into_view_if_needed()
    picture.hover(position={"x": 60, "y": 30})
    lenses = page.locator(".panel .lens")
    assert all(lens.is_visible() for lens in lenses.all())
    assert len({lens.evaluate("e => e.style.backgroundPosition") for lens in lenses.all()}) == 1
    page.mouse.move(5, 5)
    assert not any(lens.is_visible() for lens in lenses.all())
    picture.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog img").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_menus_choose_metric_and_axis(page):
    def state():
        return page.evaluate("""() => {
            const { data, layout } = figures.get(document.getElementById("curves-plot"));
            const rows = data.filter((t) => t.name).map((t) => [t.name, t.x.at(-1), t.width]);
            return [layout.x.title, layout.y.title, layout.y.log ? "log" : "linear", rows];
        }""")

    x, y, kind, rows = state()
    assert (x, y, kind) == ("optimizer steps", "eval/warm_up/fid@1k", "linear")
    widths = {name: width for name, _, width in rows}
    assert widths["Baseline (linear) · 10 steps · 50 steps"] > max(w for n, w in widths.items() if "Baseline" not in n)
    assert {end for _, end, _ in rows} == {1000}
    page.locator("#curves-axis").select_option("flops")
    assert [end for _, end, _ in state()[3]] == [1000 * 128 * 2.1e8] * 4
    page.locator("#curves-axis").select_option("hours")
    assert all(0.05 < end < 0.07 for _, end, _ in state()[3])
    page.locator("#curves-metric").select_option("train/loss_q1")
    page.locator("#curves-log-y").click()
    assert state()[1:3] == ["training loss, times 0 to ¼ (clean)", "log"]
    assert page.locator("#curves-log-y").get_attribute("aria-pressed") == "true"
    page.locator("#curves-log-y").click()
    assert state()[2] == "linear"


def test_the_table_sorts_by_number_and_back(page):
    def order():
        return page.evaluate("() => [...document.querySelectorAll('.ablation tbody tr')].map(r => r.dataset.row)")

    own = order()
    head = page.locator(".ablation thead button", has_text="FID (1k)")
    head.focus()
    page.keyboard.press("Enter")
    cells = page.locator(".ablation td[data-metric=fid][data-field=mean]")
    values = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.value))")
    assert values == sorted(values)
    assert order() != own
    head.click()
    assert order()[0] == "ddim10"
    head.click()
    assert order() == own


COVERED = """() => [...document.querySelectorAll('.plot')].map((plot) => {
    const covers = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const boxes = (selector) => [...plot.querySelectorAll(selector)].map((e) => e.getBoundingClientRect());
    const near = (a, b) => Math.hypot(a.left + a.width / 2 - b.left - b.width / 2, a.top + a.height / 2 - b.top - b.height / 2) < 4;
    const pairs = (all, test) => all.some((a, i) => all.slice(0, i).some((b) => test(a, b)));
    const text = boxes('svg > text:not([transform])'), out = text.filter((b) => b.left < -1 || b.right > innerWidth + 1).length;
    return [pairs(text, covers), pairs(boxes('.points .point'), near), pairs(boxes('.seeds .point'), near), out];
})"""
"""Of each plot: whether labels lie over each other, whether marks hide each other, how many labels leave the screen."""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_point_and_no_label_is_printed_over_another(page, size):
    page.set_viewport_size(size)
    settle(page)
    assert page.evaluate(COVERED) == [[False, False, False, 0]] * page.locator(".plot").count()


def test_no_axis_shows_what_a_share_cannot_be(page):
    plot = page.locator(".plot[data-figure=figure-tradeoff-recall-precision] text.tick")
    assert all(0 <= float(text) <= 1 for text in plot.all_text_contents())


def test_a_point_tells_what_it_is(page):
    page.locator("#differences").scroll_into_view_if_needed()
    page.locator(".plot[data-figure=figure-forest] .points[data-row=cosine] .point").hover()
    tip = page.locator(".plot[data-figure=figure-forest] .tip")
    assert tip.is_visible()
    assert tip.inner_text().startswith("Cosine schedule − Baseline (linear)")
    page.mouse.move(5, 5)


def test_names_of_curves_hide_and_show(page):
    lines = page.locator("#curves-plot g.line")
    count = lines.count()
    names = page.locator("#curves-plot .legend button")
    names.nth(1).click()
    assert lines.count() == count - 1
    names.nth(1).click()
    assert lines.count() == count


def test_print_is_light(page):
    page.emulate_media(color_scheme="dark", media="print")
    assert colour_of(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav.contents").is_visible()
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 less its margins
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # no table runs off the sheet


def test_the_console_is_silent_and_nothing_was_asked_for(opened):
    _, said, asked_for, _ = opened
    assert said == []
    assert [url[:60] for url in asked_for if not url.startswith(("data:", "blob:"))] == [asked_for[0][:60]]
