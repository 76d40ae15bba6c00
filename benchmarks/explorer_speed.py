"""How soon the report's page answers, and how a slider follows, with thousands of networks.

    python benchmarks/explorer_speed.py --networks 1000 5000

`paretobert report` writes the page of a run folder that `many_networks` makes, and Chromium opens
it from disk, headless and without a GPU. Loaded is from the start of navigation until the page can
be used. Then the latency's slider moves a hundred times: the time of each move is from the event
to the end of the frame that shows its answer.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from collect import command
from launched import printed
from many_networks import make_run
from playwright.sync_api import Browser, sync_playwright

from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

MOVES = 100
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"

SLIDE = """async (moves) => {
  const slider = document.getElementById("limit-latency_ms-slider");
  const [least, most] = [Number(slider.min), Number(slider.max)];
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const found = [];
  for (let i = 0; i < moves; i++) {
    await frame();
    const began = performance.now();
    slider.value = String(Math.round(least + ((i + 1) / (moves + 1)) * (most - least)));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    found.push(performance.now() - began);
  }
  return found;
}"""


def timed(browser: Browser, page_path: Path) -> dict[str, Any]:
    """One visit to the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(page_path.as_uri())
    page.wait_for_selector("html[data-ready]")
    loaded = page.evaluate(LOADED)
    moves = sorted(page.evaluate(SLIDE, MOVES))
    answered = page.evaluate("() => ({ ...document.getElementById('card').dataset })")
    page.close()
    return {
        "loaded_ms": round(loaded),
        "slider_median_ms": round(statistics.median(moves), 1),
        "slider_p95_ms": round(moves[int(0.95 * MOVES)], 1),
        "slider_max_ms": round(moves[-1], 1),
        "feasible": int(answered["feasible"]),
    }


def main() -> None:
    """Make, open, slide and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/explorer_speed.json"))
    arguments = parser.parse_args()
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(f"None of {', '.join(BROWSERS)} is on PATH.")
    environment, found = Environment.capture(), []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for number in arguments.networks:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "run"
                make_run(folder, number, splits=("search", "report"))
                printed("report", str(folder))
                page = folder / "report" / "index.html"
                size = page.stat().st_size
                visits = [timed(browser, page) for _ in range(arguments.visits)]
            found.append({"networks": number, "bytes": size, "visits": visits})
            print(found[-1], file=sys.stderr)
        version = browser.version
    write_json(
        arguments.out,
        {
            "command": command(),
            "chromium": version,
            "environment": environment.to_dict(),
            "pages": found,
        },
    )


if __name__ == "__main__":
    main()
