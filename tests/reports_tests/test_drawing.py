"""The matplotlib figures: real images, equal bytes for equal records, no window system."""

import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from paretobert.reports.page import report_figures


@pytest.fixture(scope="module")
def figure(content):
    return report_figures(content)[1]


def test_png_is_1500_pixels_wide(figure):
    data = figure.png()
    assert data.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(data[16:20], "big") == 1500


def test_svg_is_an_image_without_a_date(figure):
    data = figure.svg()
    assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"dc:date" not in data


def test_equal_records_give_equal_bytes(figure):
    again = replace(figure)
    assert figure.png() == again.png()
    assert figure.svg() == again.svg()


def test_one_drawing_gives_both_kinds(figure):
    assert figure.files("svg", "png") == {"svg": figure.svg(), "png": figure.png()}


def test_nasty_names_are_drawn_as_they_are(nasty_content):
    svg = report_figures(nasty_content)[1].svg()
    ElementTree.fromstring(svg)
    assert b"<script" not in svg


@pytest.mark.parametrize(
    "module", ["explorer.data", "figures.front", "headlines", "page", "tables"]
)
def test_nothing_loads_torch_or_a_window_system(module):
    code = (
        f"import sys, paretobert.reports.{module};"
        "print({'torch', 'transformers', 'optuna', 'matplotlib.pyplot', 'tkinter'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
