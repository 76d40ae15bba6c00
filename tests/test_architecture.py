"""Who may import whom, and what a light start must not load."""

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    "tasks",
    "networks",
    "encoders",
    "training",
    "dynabert",
    "powerbert",
    "deploy",
    "profiling",
    "search",
    "bort",
    "baselines",
    "reports",
    "pipeline",
    "cli",
)
"""A package imports from itself and from those before it."""

SHARED = ("errors", "garbage", "intervals", "storage")
"""Root modules that every package may import."""

PACKAGES = [name for name in ORDER if (ROOT / name).is_dir()]
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def internal_imports(file: Path, *, top_level_only: bool = False) -> set[str]:
    """The modules of this package that a file imports, named from the root."""
    tree = ast.parse(file.read_text())
    parents = file.relative_to(ROOT).parent.parts
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*parents[: len(parents) - node.level + 1], *(node.module or "").split("."))
            for alias in node.names:
                path = [part for part in (*base, alias.name) if part]
                is_module = ROOT.joinpath(*path).with_suffix(".py").exists()
                found.add(".".join(path if is_module else path[:-1]))
    return found


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_point_left(file: Path) -> None:
    own = ORDER.index(file.relative_to(ROOT).parts[0])
    allowed = {*ORDER[: own + 1], *SHARED, ""}
    packages = {name.partition(".")[0] for name in internal_imports(file)}
    assert packages <= allowed


def test_only_the_packages_in_order_exist() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages == set(PACKAGES)


def test_every_package_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = set(settings["tool"]["setuptools"]["packages"])
    folders = {
        file.parent for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")
    }
    names = (".".join(folder.relative_to(ROOT).parts) for folder in folders)
    assert installed == {"paretobert", *(f"paretobert.{name}" for name in names)}


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for file in FILES:
        graph[module_name(file)] = internal_imports(file, top_level_only=True)
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_file_holds_a_docstring_only(package: str) -> None:
    body = ast.parse((ROOT / package / "__init__.py").read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


LEARNING = {"torch", "transformers"}
HEAVY = LEARNING | {"optuna", "sklearn", "pandas", "plotly", "matplotlib"}


@pytest.mark.parametrize(
    ("start", "absent"),
    [
        ("import paretobert.reports.page", LEARNING),
        ("import paretobert.search.delivery", HEAVY),
        ("import paretobert.pipeline.steps.query", HEAVY | {"sqlalchemy", "moocore"}),
        ("import paretobert.dynabert.settings, paretobert.dynabert.stages", HEAVY),
        ("import paretobert; paretobert.Run", HEAVY),
        ("from paretobert.cli.app import main; main(['--help'])", HEAVY),
    ],
)
def test_a_light_start_stays_light(start: str, absent: set[str]) -> None:
    code = f"import sys; {start}; sys.exit(' '.join({absent} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
