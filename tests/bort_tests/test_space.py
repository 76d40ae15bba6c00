"""Candidate sets from files: what is read, and what is said of the rest."""

from pathlib import Path

import pytest

from paretobert.bort.architecture import Architecture
from paretobert.bort.published import PRINTED, RELEASED
from paretobert.bort.space import published_space, space_of
from paretobert.errors import InputError


def test_the_published_set_holds_bort_both_ways_and_nothing_twice() -> None:
    space = space_of("bort")
    assert space == published_space()
    assert len(set(space)) == 300
    assert {RELEASED, PRINTED} < set(space)


def test_a_csv_has_a_candidate_a_row(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("I,D,A,H\n32,2,4,16\n64,1,2,16\n")
    assert space_of(str(path)) == (Architecture(2, 4, 16, 32), Architecture(1, 2, 16, 64))


def test_a_toml_has_every_combination_that_can_be_built(tmp_path: Path) -> None:
    path = tmp_path / "set.toml"
    path.write_text("D = [1, 2]\nA = [2, 3]\nH = [12, 16]\nI = [32]\n")
    found = {(c.layers, c.heads, c.hidden_size, c.ffn_size) for c in space_of(str(path))}
    assert found == {(d, a, h, 32) for d in (1, 2) for a, h in ((2, 12), (2, 16), (3, 12))}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("D,A,H,I\n", "holds no examples"),
        ("", "set.csv"),
        ("D,A,H\n1,1,8\n", "has the columns D, A, H, where a candidate set has D, A, H, I"),
        ("D,A,H,I\n1,3,8,8\n", "line 2: BERT cannot share a hidden size of 8 among 3 heads"),
        ("D,A,H,I\n1,1,8,8\n1,1,8,x\n", "line 3: 'x' is no whole number"),
        ("D,A,H,I\n1,1,8,8\n1,,8,8\n", "line 3: "),
        ("D,A,H,I\n1,1,8,8\n1,1,8,8\n", "line 3, repeats the candidate of line 2"),
        ("D,A,H,I\n0,1,8,8\n", "layers must be a whole number from 1"),
        ("D,A,H,I\n1,1,8,²\n", "is no whole number"),
    ],
)
def test_a_csv_that_is_no_set(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as refusal:
        space_of(str(path))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("D = [", "is not valid TOML"),
        ("", "has the lists of nothing, where a candidate set has D, A, H, I"),
        ("D = [1]\nA = [1]\nH = [8]\nI = []\n", "I must be a list of whole numbers, not empty"),
        ("D = [1]\nA = [1]\nH = 8\nI = [8]\n", "H must be a list"),
        ("D = [1]\nA = [0]\nH = [8]\nI = [8]\n", "A holds 0, but it must be"),
        ("D = [1]\nA = [true]\nH = [8]\nI = [8]\n", "A holds True"),
        ("D = [1, 1]\nA = [1]\nH = [8]\nI = [8]\n", "D holds a number twice"),
        ("D = [1]\nA = [3]\nH = [8]\nI = [8]\n", "no hidden size H is a multiple"),
    ],
)
def test_a_toml_that_is_no_set(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "set.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        space_of(str(path))


def test_a_set_of_too_many(tmp_path: Path) -> None:
    path, many = tmp_path / "set.toml", list(range(1, 401))
    path.write_text(f"D = {many}\nA = [1]\nH = [8]\nI = {many}\n")
    with pytest.raises(InputError, match="160,000 candidates, and at most 100,000"):
        space_of(str(path))


@pytest.mark.parametrize("name", ["bart", "", "set.json", "set\n.txt"])
def test_no_such_set(name: str) -> None:
    with pytest.raises(InputError, match=r"give bort, or a file that ends in .csv or .toml"):
        space_of(name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for ending in ("csv", "toml"):
        with pytest.raises(InputError, match="does not exist"):
            space_of(str(tmp_path / f"none.{ending}"))
