"""The page in a real browser: what it draws, what keys and buttons do, what it never does."""

import csv
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from paretobert.reports.explorer.data import explorer_data
from paretobert.reports.page import page_html
from paretobert.search.budget import Budget
from paretobert.search.constraints import Constraint
from paretobert.search.pool import Pool
from paretobert.search.query import answer_query

from .browsing import VISIT, chromium, opened, until

SLUGS = ("eager-fp32", "openvino-int8")
LONG = "ط" * 5000 + "x" * 5000
"""Ten thousand letters, the first half of them written from right to left."""

ROOM = """() => [...document.querySelectorAll("#plot .label")].map((label) => {
  const { left, right, top, bottom } = label.getBBox().width
    ? label.getBoundingClientRect() : { left: 0, right: 0, top: 0, bottom: 0 };
  return [left, right, top, bottom];
})"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def address(path, content):
    path.write_text(page_html(content, {}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def addresses(content, with_stored, deployed, nasty_content, tmp_path_factory):
    """The addresses of some reports' pages."""
    folder = tmp_path_factory.mktemp("reports")
    reports = {
        "plain": content,
        "stored": with_stored,
        "deployed": deployed,
        "nasty": nasty_content,
    }
    return {name: address(folder / f"{name}.html", report) for name, report in reports.items()}


def card(page):
    return page.evaluate("() => ({ ...document.getElementById('card').dataset })")


def said(page):
    return page.locator("#said").inner_text()


@pytest.mark.parametrize("which", ["plain", "stored", "deployed", "nasty"])
def test_a_page_is_drawn_without_complaint_or_request(which, addresses, browser):
    with opened(browser, addresses[which]) as page:
        assert page.locator("#plot .marks").count() >= 2
        assert page.locator("#plot .staircase").count() == 1
        assert page.locator("#table tbody tr").count() >= 12
        assert page.locator("script").count() == 2
        assert page.locator("#plot").get_attribute("aria-label").count("width") >= 1


def test_the_score_may_be_shown_on_each_split(addresses, browser):
    with opened(browser, addresses["plain"]) as page:
        shown = {}
        for split in ("search", "report", "corrected"):
            page.locator(f"#splits [data-value={split}]").click()
            page.wait_for_selector(f"#splits [data-value={split}][aria-pressed=true]")
            shown[split] = page.locator("#plot .marks").first.get_attribute("d")
            assert page.locator("#plot .staircase").count() == (split == "search")
            assert page.locator("#plot .shifts").count() == (split != "search")
        assert len(set(shown.values())) == 3
        page.select_option("#x-axis", "num_params")
        page.locator("#splits [data-value=report]").click()
        page.wait_for_selector("#legend :text('published')")


def test_a_slider_asks_what_a_query_asks(content, addresses, browser):
    pool = Pool.of(content.candidates)
    with opened(browser, addresses["plain"]) as page:
        slider = page.locator("#limit-latency_ms-slider")
        assert slider.get_attribute("aria-valuetext") == "no limit"
        slider.focus()
        for keys in (("PageDown", "PageDown", "ArrowUp"), ("PageDown", "PageDown")):
            for key in keys:
                page.keyboard.press(key)
            until(page, "location.hash.includes('latency_ms=')")
            page.evaluate("() => new Promise(requestAnimationFrame)")
            limit = float(page.input_value("#limit-latency_ms"))
            result = answer_query(pool, Budget((Constraint("latency_ms", limit),)))
            assert card(page)["answer"] == result.answer.key
            assert card(page)["feasible"] == str(result.num_feasible)
            assert f"--latency {limit:g}ms" in page.locator("#command").inner_text()
        page.fill("#limit-latency_ms", "0.5")
        until(page, "document.getElementById('card').dataset.answer === ''")
        nearest = answer_query(pool, Budget((Constraint("latency_ms", 0.5),))).nearest
        assert card(page)["nearest"] == nearest.key
        page.fill("#limit-latency_ms", "many")
        assert page.locator("#limit-latency_ms").get_attribute("aria-invalid") == "true"
        page.locator("#clear").click()
        until(page, "document.getElementById('card').dataset.feasible === '12'")


def test_the_fastest_deployment_is_one_click_away(deployed, addresses, browser):
    with opened(browser, addresses["deployed"]) as page:
        buttons = page.locator("#deployments button")
        assert [buttons.nth(i).get_attribute("data-value") for i in range(3)] == [*SLUGS, "all"]
        buttons.nth(1).click()
        until(page, "document.getElementById('card').dataset.answer.includes('int8')")
        assert "--runtime openvino --precision int8" in page.locator("#command").inner_text()
        buttons.nth(2).click()
        until(page, "document.querySelectorAll('#table tbody tr').length === 26")
        page.fill("#limit-latency_ms", "12")
        page.wait_for_selector("#plot .answer")
        command = page.locator("#command").inner_text()
        assert command.endswith("--latency 12ms --runtime any --precision any --to network")


def test_keys_walk_along_the_front_pin_and_copy(content, addresses, browser):
    with opened(browser, addresses["plain"]) as page:
        page.evaluate(
            "() => { window.copied = []; Object.defineProperty(navigator, 'clipboard', { value: "
            "{ writeText: async (text) => { window.copied.push(text); } } }); }"
        )
        page.locator("#plot").focus()
        assert "12: width 0.25, 3 of 6 layers" in page.locator("#tip").inner_text()
        page.keyboard.press("ArrowRight")
        assert "8: width 0.25, 5 of 6 layers" in said(page)
        assert "on the front" in said(page)
        page.keyboard.press("End")
        assert "2: width 0.75, 6 of 6 layers" in said(page)
        page.keyboard.press("c")
        network = content.candidates[1].network.id
        assert page.evaluate("copied") == [
            f"paretobert export runs/sst2 --network {network} --to network"
        ]
        for key in ("p", "Home", "p"):
            page.keyboard.press(key)
        until(page, "document.querySelectorAll('.pinned thead th').length === 2")
        words = page.locator("#pins").inner_text()
        assert "against #2, search" in words
        assert "answers that flip, report" in words
        assert "negative (" in words
        assert "layer 6" in words
        page.keyboard.press("Escape")
        until(page, "!document.querySelector('.pinned')")
        page.locator("#copy").click()
        until(page, "copied.length === 2")
        assert said(page).startswith("Copied: paretobert export runs/sst2")


def test_four_are_pinned_at_most(addresses, browser):
    with opened(browser, addresses["plain"]) as page:
        for row in range(5):
            page.locator("#table tbody tr").nth(row).locator("button").click()
            page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.locator(".pinned thead th").count() == 4
        assert "unpin one first" in said(page)


def test_the_table_sorts_and_filters(addresses, browser):
    with opened(browser, addresses["plain"]) as page:

        def numbers():
            return [int(n) for n in page.locator("#table td[data-label='#']").all_inner_texts()]

        page.locator("#table th button:text-is('latency')").first.click()
        page.wait_for_selector("#table th[aria-sort=ascending] button:text-is('latency')")
        assert numbers()[0] == 12
        assert numbers()[-1] == 1
        page.locator("#table th button:text-is('latency')").first.click()
        page.wait_for_selector("#table th[aria-sort=descending]")
        assert numbers()[0] == 1
        page.fill("#filter", "front 0.25")
        until(page, "document.querySelectorAll('#table tbody tr').length === 2")
        assert numbers() == [8, 12]


def test_every_column_is_seen_on_a_small_screen_with_its_interval_below(addresses, browser):
    with opened(browser, addresses["plain"], viewport={"width": 1280, "height": 800}) as page:
        table = "document.getElementById('table')"
        assert page.evaluate(f"() => {table}.scrollWidth <= {table}.parentElement.clientWidth")
        cells = dict(
            page.eval_on_selector_all(
                "#table tr[data-key] td[data-label]",
                "cells => cells.slice(0, 16).map((cell) => [cell.dataset.label, cell.innerText])",
            )
        )
        assert re.fullmatch(r"0\.\d{4}\n\[0\.\d{4}, 0\.\d{4}\]", cells["accuracy, search"])
        eighth = page.locator("#table tr[data-key] td[data-label='latency, ms']").nth(7)
        assert "~" in eighth.inner_text()
        assert "~ interval not narrow yet" in page.locator("#table caption").inner_text()


def test_what_is_seen_can_be_saved(addresses, browser, tmp_path):
    saved = {}
    view = "#filter=front&latency_ms=12"
    with opened(browser, addresses["plain"] + view, accept_downloads=True) as page:
        for kind in ("csv", "json", "svg", "png"):
            with page.expect_download() as download:
                page.locator(f"#save-{kind}").click()
            saved[kind] = tmp_path / download.value.suggested_filename
            download.value.save_as(saved[kind])
        keys = page.eval_on_selector_all(
            "#table tbody tr", "rows => rows.map((row) => row.dataset.key)"
        )
    rows = list(csv.DictReader(saved["csv"].read_text(encoding="utf-8").splitlines()))
    assert [row["key"] for row in rows] == keys
    assert float(rows[0]["latency_ms_low"]) < float(rows[0]["latency_ms"])
    record = json.loads(saved["json"].read_text(encoding="utf-8"))
    assert [row["key"] for row in record["networks"]] == keys
    drawing = saved["svg"].read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawing
    assert saved["png"].read_bytes().startswith(b"\x89PNG\r\n")


def test_an_address_gives_the_same_view(deployed, addresses, browser):
    key = deployed.candidates[14].key
    view = (
        "#on=openvino-int8&x=num_params&logx=1&split=report&best=latency_ms&latency_ms=9"
        f"&loss=2.5&pins={key}&sort=score&down=1&filter=width"
    )
    seen = (
        "() => [document.getElementById('explorer').innerHTML,"
        " ...[...document.querySelectorAll('input')].map((input) => input.value)]"
    )
    with opened(browser, addresses["deployed"] + view) as page:
        first = page.evaluate(seen)
        written = page.evaluate(
            "async () => { document.getElementById('log-y').click();"
            "await new Promise(requestAnimationFrame); document.getElementById('log-y').click();"
            "await new Promise(requestAnimationFrame); return location.hash; }"
        )
        assert page.input_value("#limit-loss") == "2.5"
        assert page.locator(".pinned thead th").count() == 1
    with opened(browser, addresses["deployed"] + written) as page:
        assert page.evaluate(seen) == first


def test_an_address_of_nonsense_opens_the_usual_view(addresses, browser):
    with opened(browser, addresses["plain"]) as page:
        usual = page.locator("#plot").inner_html()
        nonsense = "#at=9&on=x&x=y&split=z&best=q&latency_ms=-1&loss=x&pins=a,b&sort=?&filter="
        (found,) = page.evaluate(VISIT, [nonsense])
        assert found["feasible"] == "12"
        assert page.locator("#plot").inner_html() == usual


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "dark"), (390, "light")], ids=["wide", "phone"]
)
def test_nothing_overlaps_or_runs_out_of_the_page(
    width, scheme, content, holding, browser, tmp_path
):
    def renamed(candidate):
        network = replace(candidate.network, label=LONG + candidate.label)
        return replace(candidate, profile=replace(candidate.profile, network=network))

    *others, last = content.candidates
    long = holding(content, [*others, renamed(last)], title=LONG, warnings=(LONG,))
    found = address(tmp_path / "long.html", long)
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(browser, f"{found}#latency_ms=12", **options) as page:
        wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0
        page.locator("#table tbody tr button").first.click()
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.evaluate(wide) <= 0
        boxes = page.evaluate(ROOM)
        assert len(boxes) >= 4
        for i, (left, right, top, bottom) in enumerate(boxes):
            for other in boxes[:i]:
                apart = left >= other[1] or right <= other[0]
                assert apart or top >= other[3] - 4 or bottom <= other[2] + 4


def test_hostile_strings_are_text(addresses, nasty, browser):
    with opened(browser, f"{addresses['nasty']}#latency_ms=12&split=report") as page:
        assert page.locator("#explorer b").count() == 0
        assert nasty in page.locator("h1").inner_text()
        assert nasty in page.locator("#settings").inner_text()
        command = page.locator("#command").inner_text()
        quoted = "'" + nasty.replace("'", "'\\''") + "'"
        assert command.startswith(f"paretobert export {quoted} --latency 12ms --machine {quoted}")
        page.locator("#plot").focus()
        assert nasty in page.locator("#tip").inner_text()


def test_a_thousand_networks_fit_into_six_megabytes(content, holding):
    many = []
    for i in range(1000):
        candidate = content.candidates[i % 12]
        network = replace(candidate.network, label=f"{candidate.label}, {i}")
        config = candidate.network.config
        neurons = tuple(n - i // 12 - 1 for n in config.neurons)
        recipe = replace(network.recipe, config=replace(config, neurons=neurons))
        profile = replace(candidate.profile, network=replace(network, recipe=recipe))
        many.append(replace(candidate, profile=profile))
    data = explorer_data(holding(content, many, reported={}))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    assert data["scores"]["outcomes"] is not None
    assert data["scores"]["halves"] is not None
    assert len(text.encode()) < 4_500_000


def test_modules_share_no_names():
    from paretobert.reports.explorer.document import MODULES, joined

    names = re.findall(
        r"^(?:async )?(?:const|let|function|class) (\w+)", joined(MODULES), re.MULTILINE
    )
    assert len(names) == len(set(names)) > 50
