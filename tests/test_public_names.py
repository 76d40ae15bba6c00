"""Every public name is there, and naming the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import paretobert

ROOT = Path(__file__).resolve().parents[1]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def typed_homes() -> dict[str, str]:
    """The module of each public name, as type checkers are told."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", paretobert.__all__)
def test_a_public_name_is_there_when_it_is_touched_first(name: str) -> None:
    assert run(f"import paretobert; paretobert.{name}; print('there')") == "there"


def test_names_come_from_where_type_checkers_look() -> None:
    assert typed_homes() == paretobert._HOMES


def test_the_package_alone_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pandas"}
    assert run(f"import sys, paretobert; print(sorted({heavy} & {{*sys.modules}}))") == "[]"
