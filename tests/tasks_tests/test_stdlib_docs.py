"""The embedded task, built from the Python that runs the tests."""

import ast
import random
from functools import cache

import pytest

from paretobert.errors import InputError
from paretobert.tasks import stdlib_docs
from paretobert.tasks.splits import near_duplicates
from paretobert.tasks.stdlib_docs import (
    docstrings,
    drop_near_duplicates,
    first_sentence,
    load_stdlib_docs,
    names_package,
    sentences_by_package,
)


@pytest.fixture(scope="module")
def read_once():
    """Reads the sources, which takes nearly all the time, the first time only."""
    return cache(sentences_by_package)


@pytest.fixture(scope="module")
def task(read_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stdlib_docs, "sentences_by_package", read_once)
        return load_stdlib_docs(seed=0)


def test_it_has_sixteen_classes_and_some_thousands_of_examples(task):
    assert task.num_labels == 16
    assert 2000 < sum(map(len, task.splits.values())) < 4000
    for split in task.splits.values():
        assert set(split.labels) == set(range(16))
    assert {"asyncio", "email", "logging", "unittest"} <= set(task.label_names)


def test_no_near_duplicates_straddle_splits(task):
    texts = [text for split in task.splits.values() for text in split.first]
    assert near_duplicates(texts) == list(range(len(texts)))


def test_no_sentence_names_its_package(task):
    for split in task.splits.values():
        for text, label in zip(split.first, split.labels, strict=True):
            assert not names_package(text, task.label_names[label])


def test_it_is_deterministic_and_quiet_and_leaves_global_randomness_alone(task, capsys):
    state = random.getstate()
    assert load_stdlib_docs(seed=0).fingerprint == task.fingerprint
    assert random.getstate() == state
    assert capsys.readouterr() == ("", "")


def test_the_seed_moves_the_search_split_only(task, read_once, monkeypatch):
    monkeypatch.setattr(stdlib_docs, "sentences_by_package", read_once)
    other = load_stdlib_docs(seed=1)
    assert other.report == task.report
    assert other.search != task.search


def test_it_is_neither_trivial_nor_hopeless(task):
    """Linear classifiers over words reach .6 to .8; guessing the largest class reaches .13."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    from sklearn.linear_model import RidgeClassifier

    vectorizer = text.TfidfVectorizer(sublinear_tf=True)
    model = RidgeClassifier(solver="sparse_cg")
    model.fit(vectorizer.fit_transform(task.train.first), task.train.labels)
    accuracy = model.score(vectorizer.transform(task.report.first), task.report.labels)
    assert 0.55 < accuracy < 0.85


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return the suffix of this. Or not.", "Return the suffix of this."),
        ("Return the\n    longer suffix\n\n    Details.", "Return the longer suffix"),
        ("Parse e.g. numbers like 1.5 too", "Parse e.g. numbers like 1.5 too"),
        ("Close it.", None),
        ("  ", None),
        (">>> call the function here", None),
        ("word " * 70, None),
    ],
)
def test_first_sentences(docstring, sentence):
    assert first_sentence(docstring) == sentence


def test_groups_with_several_labels_are_dropped():
    kept = drop_near_duplicates(
        {
            "a": ["Return the current state", "Close the open socket", "close the open socket."],
            "b": ["return the current state.", "Read one line of text"],
        }
    )
    assert kept == {"a": ["Close the open socket"], "b": ["Read one line of text"]}


def test_tests_installed_packages_and_broken_files_are_left_out(tmp_path):
    sources = {
        "alpha/core.py": '"""Keep this one sentence."""',
        "_pybeta.py": 'def f():\n    """Keep this other sentence."""',
        "alpha/tests/core.py": '"""Leave this sentence out."""',
        "site-packages/gamma.py": '"""Leave this sentence out."""',
        "broken.py": "def (",
        "binary.py": "\0",
    }
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = sentences_by_package(tmp_path)
    assert {package: texts for package, texts in found.items() if texts} == {
        "alpha": ["Keep this one sentence."],
        "beta": ["Keep this other sentence."],
    }
    assert list(docstrings(tmp_path / "broken.py")) == []


def test_docstrings_come_in_the_order_of_a_walk_over_the_whole_tree(tmp_path):
    source = tmp_path / "nested.py"
    source.write_text(
        '''"""m"""
if True:
    class A:
        """A"""
        def f(self):
            """f"""
            return lambda: 0
else:
    try:
        def g():
            """g"""
    except ValueError:
        def h():
            """h"""
    else:
        async def i():
            """i"""
    finally:
        def j():
            """j"""
match 1:
    case 1:
        with open("x"):
            def k():
                """k"""
def l():
    """l"""
    for _ in ():
        class B:
            """B"""
'''
    )
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    walked = (node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, kinds))
    expected = [ast.get_docstring(node, clean=False) for node in walked]
    assert list(docstrings(source)) == expected
    assert sorted(expected) == sorted("mAfghijklB")


def test_python_without_sources_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stdlib_docs.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(InputError, match="needs the standard library's sources"):
        load_stdlib_docs(seed=0)
