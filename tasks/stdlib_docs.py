"""The embedded task: which standard package does a docstring's first sentence document (no torch)?

It needs no download: the sentences come from the sources of the standard library that the running
Python ships, parsed and never imported. The label is the top-level package. What is kept:

- the first sentence of every docstring of a module, class, function or method, of 3 to 60 words;
- no sentence that names its own package, which would give the label away;
- one of each group of near-duplicates, and none where they document different packages, so that
  near-duplicates never straddle splits;
- the 16 packages with most sentences, at most 400 of each, drawn with a fixed seed.

Packages of tests and those that later versions removed are left out. The result depends on the
Python version and on what is installed of it: some distributions ship no tkinter or idlelib, and
the next packages take their place.
"""

import ast
import random
import re
import sysconfig
import warnings
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path

from ..errors import InputError
from .splits import hold_out, hold_out_search, near_duplicates
from .task import Task, TextSplit

NAME = "stdlib-docs"

NUM_CLASSES = 16
MAX_PER_CLASS = 400
MIN_PER_CLASS = 20
WORDS = range(3, 61)

REPORT_SHARE = 0.2
SEARCH_SHARE = 0.2
"""Large shares, because a small report split would tie every two sub-networks."""

MAX_LENGTH = 64
"""Tokens per example; the longest sentences have about as many."""

_FIXED_SEED = 0
"""Which sentences there are, and which are reported on, does not depend on the run's seed."""

_NOT_DOCUMENTATION = frozenset({"test", "tests", "idle_test", "turtledemo", "pydoc_data"})
_INSTALLED = frozenset({"site-packages", "dist-packages", "__pycache__", "lib-dynload"})
_REMOVED_LATER = frozenset({"distutils", "lib2to3", "nntplib"})
_LEFT_OUT = _NOT_DOCUMENTATION | _INSTALLED | _REMOVED_LATER

_BODIES = ("body", "cases", "handlers", "orelse", "finalbody")
"""Fields of statements, in the order of the language's grammar, that hold further statements."""


def load_stdlib_docs(
    *, seed: int, search_size: int | None = None, max_length: int | None = None
) -> Task:
    """Build the task from the running Python's own sources.

    Args:
        seed: Of the examples held out for search.
        search_size: How many these are; by default a fifth of all.
        max_length: Tokens per example; by default 64.

    Raises:
        InputError: When this Python comes without its sources.
    """
    library = Path(sysconfig.get_path("stdlib"))
    chosen = choose_classes(drop_near_duplicates(sentences_by_package(library)))
    names = tuple(sorted(chosen))
    if len(names) < NUM_CLASSES:
        raise InputError(
            f"The task {NAME} needs the standard library's sources, of which {library} holds too "
            "few: use a Python that ships them, or another task."
        )
    examples = [(text, index) for index, name in enumerate(names) for text in chosen[name]]
    first, labels = zip(*examples, strict=True)
    everything = TextSplit(first, None, labels)
    report_size = round(len(everything) * REPORT_SHARE)
    rest, report = hold_out(everything, sizes=(report_size,), seed=_FIXED_SEED)
    wanted = round(len(everything) * SEARCH_SHARE) if search_size is None else search_size
    train, search = hold_out_search(rest, size=wanted, seed=seed)
    version = sysconfig.get_python_version()
    return Task(
        name=NAME,
        kind="classification",
        label_names=names,
        metric="accuracy",
        other_metrics=("macro_f1",),
        train=train,
        search=search,
        report=report,
        max_length=max_length or MAX_LENGTH,
        source=f"docstrings of the standard library of Python {version}",
    )


def sentences_by_package(library: Path) -> dict[str, list[str]]:
    """Collect the usable first sentences of each top-level package or module, in a fixed order."""
    sentences: dict[str, list[str]] = defaultdict(list)
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if not _LEFT_OUT.isdisjoint(parts):
            continue
        package = parts[0].removeprefix("_py").removeprefix("_")
        found = filter(None, map(first_sentence, docstrings(path)))
        sentences[package].extend(text for text in found if not names_package(text, package))
    return sentences


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a source file; none when this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                yield docstring


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """What `ast.walk` yields and may hold a definition, in its order."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        waiting.extend(child for name in _BODIES for child in getattr(node, name, ()))
        yield node


def first_sentence(docstring: str) -> str | None:
    """Return a docstring's first sentence, or None when it is too short or long or no sentence.

    >>> first_sentence("Return the path's   suffix. This includes the dot.")
    "Return the path's suffix."
    """
    paragraph = re.split(r"\n\s*\n", cleandoc(docstring).strip(), maxsplit=1)[0]
    text = " ".join(paragraph.split())
    match = re.match(r".+?[.!?](?=\s+[A-Z])", text)
    sentence = match.group() if match else text
    words = re.findall(r"[A-Za-z]{2,}", sentence)
    usable = len(words) in WORDS and sentence[0].isalpha() and ">>>" not in sentence
    return sentence if usable else None


def names_package(sentence: str, package: str) -> bool:
    """Whether a word of a sentence begins with its package's name."""
    return re.search(rf"(?<![a-z]){re.escape(package)}", sentence, re.IGNORECASE) is not None


def drop_near_duplicates(sentences: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Keep one sentence of each group of near-duplicates, none if the group has several labels."""
    pairs = [(package, text) for package, texts in sentences.items() for text in texts]
    groups: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(near_duplicates([text for _, text in pairs])):
        groups[group].append(i)
    kept: dict[str, list[str]] = defaultdict(list)
    for members in groups.values():
        if len({pairs[i][0] for i in members}) == 1:
            package, text = pairs[members[0]]
            kept[package].append(text)
    return kept


def choose_classes(sentences: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Choose the packages with most sentences and at most `MAX_PER_CLASS` sentences of each."""
    largest = sorted(sentences, key=lambda name: (-len(sentences[name]), name))[:NUM_CLASSES]
    generator = random.Random(_FIXED_SEED)
    return {
        name: generator.sample(sentences[name], min(MAX_PER_CLASS, len(sentences[name])))
        for name in largest
        if len(sentences[name]) >= MIN_PER_CLASS
    }
