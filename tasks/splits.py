"""Holding examples out of the training data: stratified, seeded, repeats kept together (no torch).

Examples that share a group, such as repeats of one text, never straddle a split. Where many texts
are parts of others, as SST-2's training phrases are of its sentences, whole texts are held out, as
they will be met, and their parts do not stay in training. Left out: balancing by anything but the
label.
"""

import logging
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from ..errors import InputError
from .phrases import Phrases
from .task import Texts, TextSplit

logger = logging.getLogger(__name__)

MAX_SEED = 2**32 - 1
"""The largest seed that every random generator takes."""

MAX_HELD_OUT = 2000
"""Examples held out by default at most: an accuracy of .9 is then known to within 1.3 points."""

HELD_OUT_SHARE = 0.1
"""Share of the whole texts held out by default, below that limit."""

MANY_PHRASES = 0.1
"""From this share of the texts on, those that are parts of others are taken for phrases. A few are
in any data: a text "Thank you" says nothing of the longer one that it occurs in."""

QUANTILES = 10
"""Strata of regression labels."""


def hold_out_search(
    train: TextSplit, *, size: int | None, seed: int
) -> tuple[TextSplit, TextSplit]:
    """Hold the examples to search with out of the training data.

    Args:
        train: The training data.
        size: How many; None for a tenth of the whole texts, at most 2,000.
        seed: The same seed gives the same examples.

    Returns:
        What remains for training, and the search split.

    Raises:
        InputError: When a part would be empty.
    """
    remaining, search = hold_out(train, sizes=(size,), seed=seed)
    return remaining, search


def hold_out(split: TextSplit, *, sizes: Sequence[int | None], seed: int) -> tuple[TextSplit, ...]:
    """Hold disjoint parts out of a split; repeats of a text, as `text_keys` has it, stay together.

    Args:
        split: What to divide.
        sizes: Wanted number of examples of each part, None for a tenth of the whole texts, at most
            2,000; a part may be smaller by a few, because repeats stay together.
        seed: The same seed gives the same parts.

    Returns:
        What remains, then each part, all in the order of `split`. Where texts are phrases of
        others, a part has whole texts alone, and those within them are nowhere.

    Raises:
        InputError: When nothing would remain, or a part would be empty.
    """
    keys = text_keys(split)
    known = Phrases(keys if split.second is None else ())
    different = set(keys)
    phrases = _phrases(known, different)
    whole = [i for i, key in enumerate(keys) if key not in phrases]
    numbers = [_part_size(len(whole), size) for size in sizes]
    labels = strata([split.labels[i] for i in whole])
    parts = assign_parts(labels, [keys[i] for i in whole], sizes=numbers, seed=seed)
    held_out = [
        [i for i, part in zip(whole, parts, strict=True) if part == number]
        for number in range(1, len(sizes) + 1)
    ]
    taken = {keys[i] for members in held_out for i in members}
    if phrases:
        taken.update(*(known.within(key) for key in taken.copy()))
    remaining = [i for i, key in enumerate(keys) if key not in taken]
    if sum(numbers) >= len(whole) or not remaining or not all(held_out):
        raise InputError(
            f"{len(whole)} examples ({len(different - phrases)} of them different) are too few to "
            f"hold out {' and '.join(map(str, numbers))} of them: give more data, or other sizes."
        )
    if phrases:
        logger.warning(
            "%d of %d different texts are parts of others: whole ones alone are held out, and "
            "%d examples that are parts of these are left out of training",
            len(phrases),
            len(different),
            len(keys) - len(remaining) - sum(map(len, held_out)),
        )
    return tuple(subset(split, indices) for indices in (remaining, *held_out))


def _part_size(num_examples: int, wanted: int | None) -> int:
    """The size of a held-out part: as wanted, or by default a tenth, at most 2,000."""
    if wanted is not None:
        return wanted
    return max(1, min(MAX_HELD_OUT, round(num_examples * HELD_OUT_SHARE)))


def _phrases(known: Phrases, keys: set[str]) -> set[str]:
    """The keys that are parts of others, or none where they are few."""
    found: set[str] = set().union(*map(known.within, keys))
    return found if len(found) >= MANY_PHRASES * len(keys) else set()


def assign_parts(
    labels: Sequence[Hashable], groups: Sequence[Hashable], *, sizes: Sequence[int], seed: int
) -> list[int]:
    """Choose the part of each example: 0 for what remains, k for the k-th size.

    Every label takes the same share of each part, as far as its groups allow; at least one group
    of every label remains. A group counts for the label of its first example.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    by_label: dict[Hashable, list[list[int]]] = defaultdict(list)
    for group_members in members.values():
        by_label[labels[group_members[0]]].append(group_members)
    generator = random.Random(seed)
    parts = [0] * len(labels)
    wanted = [0.0] * len(sizes)
    for stratum in by_label.values():
        generator.shuffle(stratum)
        left = stratum[1:]
        stratum_size = sum(map(len, stratum))
        for number, size in enumerate(sizes):
            wanted[number] += size * stratum_size / len(labels)
            while left and len(left[-1]) <= round(wanted[number]):
                chosen = left.pop()
                wanted[number] -= len(chosen)
                for i in chosen:
                    parts[i] = number + 1
    return parts


def strata(labels: Sequence[int] | Sequence[float]) -> list[int]:
    """The class of each example or, for scores, the tenth of the sorted examples it falls in."""
    if isinstance(labels[0], int):
        return [int(label) for label in labels]
    order = sorted(range(len(labels)), key=labels.__getitem__)
    result = [0] * len(labels)
    for rank, i in enumerate(order):
        result[i] = rank * QUANTILES // len(labels)
    return result


def text_keys(split: Texts) -> list[str]:
    """A key per example that repeats of its text, or pair of texts, share."""
    if split.second is None:
        return [normalised(text) for text in split.first]
    pairs = zip(split.first, split.second, strict=True)
    return [f"{normalised(first)}\t{normalised(second)}" for first, second in pairs]


def normalised(text: str) -> str:
    """A text without case, punctuation and spacing.

    >>> normalised("It's  FINE .")
    'its fine'
    """
    words = ("".join(filter(str.isalnum, word)) for word in text.casefold().split())
    return " ".join(filter(None, words))


def subset(split: TextSplit, indices: Sequence[int]) -> TextSplit:
    """The examples of a split at some indices."""
    return TextSplit(
        first=tuple(split.first[i] for i in indices),
        second=None if split.second is None else tuple(split.second[i] for i in indices),
        labels=tuple(split.labels[i] for i in indices),
    )


def near_duplicates(texts: Sequence[str], *, similarity: float = 0.8) -> list[int]:
    """Group texts whose sets of words are alike.

    Two texts are alike when the words they share are at least `similarity` of all their words
    (Jaccard), without case, digits and punctuation; texts alike to a third are in one group. Only
    texts that share one of their rarest words are compared, which finds every pair: of n words, at
    least n * similarity are shared, so one of any n - ceil(n * similarity) + 1 is (Chaudhuri,
    Ganti and Kaushik 2006).

    Returns:
        A group number per text: the index of the group's first text.
    """
    word_sets = [frozenset(re.findall(r"[^\W\d_]+", text.casefold())) for text in texts]
    frequency = Counter(word for words in word_sets for word in words)
    group = list(range(len(texts)))
    holders: dict[str, list[int]] = defaultdict(list)

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i, words in enumerate(word_sets):
        rarest = sorted(words, key=lambda word: (frequency[word], word))
        prefix = rarest[: len(words) - math.ceil(len(words) * similarity) + 1]
        for j in {j for word in prefix for j in holders[word]}:
            if len(words & word_sets[j]) >= similarity * len(words | word_sets[j]):
                first, second = sorted((root(i), root(j)))
                group[second] = first
        for word in prefix:
            holders[word].append(i)
    return [root(i) for i in range(len(texts))]
