"""Texts that are parts of others, such as the phrases of a treebank's sentences (no torch)."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

MAX_WORDS = 64
"""Of a phrase. Longer texts are not looked for, so that time grows with the words of the texts."""


class Phrases:
    """Some texts, to be found within other texts as runs of whole words."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Keep the texts of up to `MAX_WORDS` words; those of several words by their first two.

        Args:
            texts: Words with single spaces between them (`splits.normalised`).
        """
        split = (tuple(text.split()) for text in texts)
        self._known = {words for words in split if len(words) <= MAX_WORDS}
        self._words = {words[0] for words in self._known if len(words) == 1}
        self._lengths: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        for words in self._known:
            self._lengths[words[:2]].add(len(words))

    def within(self, text: str) -> set[str]:
        """Those of the texts that are a part of another one, which they are shorter than.

        >>> sorted(Phrases(["a good film", "a good", "film", "bad"]).within("a good film"))
        ['a good', 'film']
        """
        words = tuple(text.split())
        found = self._words.intersection(words) if len(words) > 1 else set()
        for start, opening in enumerate(pairwise(words)):
            for length in self._lengths.get(opening, ()):
                part = words[start : start + length]
                if len(part) == length < len(words) and part in self._known:
                    found.add(" ".join(part))
        return found
