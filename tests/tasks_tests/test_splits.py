"""Splits: disjoint, complete, stratified, repeats together, the same for the same seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretobert.errors import InputError
from paretobert.tasks.phrases import MAX_WORDS, Phrases
from paretobert.tasks.splits import (
    assign_parts,
    hold_out,
    hold_out_search,
    near_duplicates,
    normalised,
    strata,
    subset,
)
from paretobert.tasks.task import TextSplit

examples = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=200
).map(lambda pairs: ([label for label, _ in pairs], [group for _, group in pairs]))


@given(examples, st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(0, 5))
def test_groups_never_straddle_and_parts_never_exceed_their_size(drawn, sizes, seed):
    labels, groups = drawn
    parts = assign_parts(labels, groups, sizes=sizes, seed=seed)
    assert len({(group, part) for group, part in zip(groups, parts, strict=True)}) == len(
        set(groups)
    )
    counts = Counter(parts)
    assert all(counts[k + 1] <= size + 1 for k, size in enumerate(sizes))
    assert parts == assign_parts(labels, groups, sizes=sizes, seed=seed)


@given(examples, st.integers(1, 100), st.integers(0, 5))
def test_every_label_remains_in_training(drawn, size, seed):
    labels, _ = drawn
    parts = assign_parts(labels, range(len(labels)), sizes=(size,), seed=seed)
    remaining = {label for label, part in zip(labels, parts, strict=True) if part == 0}
    assert remaining == set(labels)


def test_hold_out_is_stratified_and_complete():
    split = TextSplit(tuple(f"text {i}" for i in range(1000)), None, (0,) * 900 + (1,) * 100)
    train, search, report = hold_out(split, sizes=(200, 100), seed=0)
    assert (len(train), len(search), len(report)) == (700, 200, 100)
    assert Counter(search.labels) == {0: 180, 1: 20}
    assert Counter(report.labels) == {0: 90, 1: 10}
    assert sorted(train.first + search.first + report.first) == sorted(split.first)


def test_repeats_of_a_text_stay_together():
    texts = tuple(f"Text number {i // 2}{'.' if i % 2 else ' !'}" for i in range(400))
    split = TextSplit(texts, None, tuple(i % 4 // 2 for i in range(400)))
    train, search = hold_out_search(split, size=60, seed=3)
    assert not {normalised(t) for t in train.first} & {normalised(t) for t in search.first}
    assert len(search) == 60


def test_default_search_split_is_a_tenth_and_another_seed_gives_another():
    split = TextSplit(tuple(map(str, range(500))), None, (0, 1) * 250)
    first, second = (hold_out_search(split, size=None, seed=seed)[1] for seed in (0, 1))
    assert len(first) == len(second) == 50
    assert first.first != second.first


def phrased(sentences: int) -> TextSplit:
    """Sentences, each with its own halves and a word that they all have."""
    halves = [(f"the film {i}", f"is {'good' if i % 2 else 'bad'} {i}") for i in range(sentences)]
    texts = [text for first, second in halves for text in (first, second, f"{first} {second} .")]
    return TextSplit((*texts, "film"), None, tuple(i // 3 % 2 for i in range(len(texts) + 1)))


def test_phrases_are_not_held_out_nor_learnt_from_with_their_sentences(caplog):
    split = phrased(100)
    train, search, report = hold_out(split, sizes=(None, 20), seed=0)
    assert (len(search), len(report)) == (10, 20)
    assert all(text.endswith(".") for text in search.first + report.first)
    held_out = [normalised(text) for text in search.first + report.first]
    within = Phrases(map(normalised, train.first)).within
    assert not any(map(within, held_out))
    assert len(train) == 3 * 70
    assert "61 examples that are parts of these are left out" in caplog.text
    assert "201 of 301 different texts are parts of others" in caplog.text


def test_a_few_texts_within_others_are_texts_like_others(caplog):
    split = phrased(100)
    few = subset(split, [*range(2, 300, 3), 300])
    train, search = hold_out_search(few, size=None, seed=0)
    assert (len(train), len(search), caplog.text) == (91, 10, "")


def test_too_few_whole_texts_are_refused():
    with pytest.raises(InputError, match=r"3 examples \(3 .* too few to hold out 3 of them"):
        hold_out_search(phrased(3), size=3, seed=0)


words = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join)


@given(st.lists(words, max_size=20), words)
def test_what_is_within_a_text_agrees_with_looking_for_each(texts, text):
    wanted = {each for each in texts if f" {each} " in f" {text} " and each != text}
    assert Phrases(texts).within(text) == wanted


def test_a_text_that_is_too_long_for_a_phrase_is_not_looked_for():
    phrase = " ".join(["word"] * MAX_WORDS)
    found = Phrases([phrase, f"{phrase} word"]).within(f"{phrase} word word")
    assert found == {phrase}


def test_pairs_keep_their_second_texts():
    split = TextSplit(
        tuple(map(str, range(50))), tuple(str(-i) for i in range(50)), (0.5, 1.5) * 25
    )
    for part in hold_out_search(split, size=10, seed=0):
        assert part.second is not None
        pairs = zip(part.first, part.second, strict=True)
        assert all(int(first) == -int(second) for first, second in pairs)


def test_scores_are_stratified_by_tenths():
    labels = [float(i) for i in range(100)][::-1]
    assert Counter(strata(labels)) == {k: 10 for k in range(10)}
    assert strata(labels)[0] == 9


@pytest.mark.parametrize("size", [3, 4, 100])
def test_too_few_examples_are_refused(size):
    split = TextSplit(("a", "b", "c"), None, (0, 1, 0))
    with pytest.raises(InputError, match=f"3 examples .* too few to hold out {size} of them"):
        hold_out_search(split, size=size, seed=0)


def test_near_duplicates_are_found_whatever_their_digits_case_and_punctuation():
    texts = [
        "Codec for iso8859-1, made by gencodec",
        "codec for ISO8859_15 made by gencodec.",
        "Return the path of a file",
    ]
    assert near_duplicates(texts) == [0, 0, 2]


longer = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join)


@given(st.lists(longer, max_size=25))
def test_near_duplicates_agree_with_comparing_all_pairs(texts):
    groups = near_duplicates(texts, similarity=0.6)
    sets = [set(text.split()) for text in texts]
    linked = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if len(sets[i] & sets[j]) >= 0.6 * len(sets[i] | sets[j]):
                old, new = max(linked[i], linked[j]), min(linked[i], linked[j])
                linked = [new if group == old else group for group in linked]
    assert groups == linked
