"""A real browser for the tests of the page: Chromium, through Playwright."""

import shutil
from contextlib import contextmanager

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

VISIT = """async (hashes) => {
  const found = [];
  for (const hash of hashes) {
    const changed = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = hash;
    await changed;
    found.push({ ...document.getElementById("card").dataset });
  }
  return found;
}"""
"""Visits addresses of a page and returns what its card says of each."""


@contextmanager
def chromium():
    """A browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opened(browser, address, **options):
    """A page that may complain of nothing and ask for nothing but itself."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert complaints == []
    asked = [url for url in requests if not url.startswith(("data:", "blob:"))]
    assert [url.partition("#")[0] for url in asked] == [address.partition("#")[0]]


def until(page, condition):
    """Wait until something is so; the page's policy forbids it to evaluate a text by itself."""
    page.evaluate(
        f"async () => {{ for (let i = 0; i < 1000; i++) {{ if ({condition}) return;"
        " await new Promise(requestAnimationFrame); }"
        f" throw new Error({condition!r} + ' never came true'); }}"
    )
