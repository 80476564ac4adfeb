"""Texts that say the same again: exact search for near-duplicates over shared character 5-grams.

Two texts are near-duplicates when the Jaccard index of their sets of character 5-grams is at least 0.8, after Unicode
NFKC, lower case, every digit as 0 and every run of white space as one blank; so "3 mm" and "5 mm" do not make a
difference.

Method: prefix filter with counting (Bayardo et al. 2007; Wang et al. 2012). Let shingles be ordered from rare to
common. Two sets of Jaccard index >= t share at least o = ceil(t |s|) shingles, so among the first |s| - o + k of
each they share at least k. An inverted index over those proposes the few pairs that do, and every proposed pair is
counted exactly: there are no false positives and no misses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
THRESHOLD = (4, 5)  # 0.8 as a fraction, so that no rounding decides

# For every so many shingles of a set, one more must be shared in the prefix: fewer pairs to count, longer lists to
# read.
_PROOF = 12

_SPACE = re.compile(r"\s+")
_DIGIT = re.compile(r"\d")

Ids = NDArray[np.int64]


def normalize(text: str) -> str:
    """The form in which texts are compared."""
    return _SPACE.sub(" ", _DIGIT.sub("0", unicodedata.normalize("NFKC", text).lower())).strip()


def near_duplicates(texts: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Which later text repeats which earlier one.

    Args:
        texts: (id, text) in the order of precedence; ids are unique. An empty text repeats nothing.

    Returns:
        Later id -> the first earlier id it repeats that is itself no repeat. So among the ids that are no key, no
        two are near-duplicates, and no value is a key.

    Raises:
        ValueError: an id occurs twice.
    """
    ids = [name for name, _ in texts]
    if len(set(ids)) != len(ids):
        raise ValueError("near_duplicates needs unique ids")
    forms = [normalize(text) for _, text in texts]
    first: dict[str, int] = {}
    for i, form in enumerate(forms):
        if form:
            first.setdefault(form, i)
    distinct = list(first.values())
    kept = {distinct[later]: distinct[earlier] for later, earlier in _near(list(first)).items()}
    repeats: dict[str, str] = {}
    for i, form in enumerate(forms):
        if form:
            original = kept.get(first[form], first[form])
            if original != i:
                repeats[ids[i]] = ids[original]
    return repeats


def _near(forms: list[str]) -> dict[int, int]:
    """Positions of later forms -> position of the first kept form each repeats; forms are distinct and not empty."""
    sets, vocabulary = _shingles(forms)
    if not sets:
        return {}
    above, below = THRESHOLD
    sizes = np.array([len(s) for s in sets], dtype=np.int64)
    must_share = 1 + sizes // _PROOF
    prefixes = [
        s[: n - -(-above * n // below) + k] for s, n, k in zip(sets, sizes.tolist(), must_share.tolist(), strict=True)
    ]
    holders, bounds = _index(prefixes, vocabulary)
    marked = np.zeros(vocabulary, dtype=np.bool_)
    open_to = np.zeros(len(sets), dtype=np.bool_)  # earlier and kept
    repeats: dict[int, int] = {}
    for i, shingles in enumerate(sets):
        size = len(shingles)
        starts, ends = bounds[prefixes[i]].tolist(), bounds[prefixes[i] + 1].tolist()
        lists = [holders[a:b] for a, b in zip(starts, ends, strict=True) if b - a > 1]
        if lists:
            shared = np.bincount(np.concatenate(lists), minlength=len(sets))
            enough = open_to & (shared >= np.minimum(must_share, must_share[i]))
            proposed = np.flatnonzero(enough & (sizes * below >= above * size) & (sizes * above <= below * size))
            if len(proposed):
                marked[shingles] = True
                kept = _first_within(proposed, sets, sizes, marked, size)
                marked[shingles] = False
                if kept is not None:
                    repeats[i] = kept
                    continue
        open_to[i] = True
    return repeats


def _index(prefixes: list[Ids], vocabulary: int) -> tuple[Ids, Ids]:
    """Which sets hold each shingle in their prefix: `holders[bounds[s] : bounds[s + 1]]`, in order."""
    of_shingle = np.concatenate(prefixes)
    owner = np.repeat(np.arange(len(prefixes)), [len(p) for p in prefixes])
    holders = owner[np.argsort(of_shingle, kind="stable")]
    return holders, np.concatenate(([0], np.cumsum(np.bincount(of_shingle, minlength=vocabulary))))


_BLOCK = 256


def _first_within(proposed: Ids, sets: list[Ids], sizes: Ids, marked: NDArray[np.bool_], size: int) -> int | None:
    """The first proposed set whose Jaccard index with the marked one reaches the threshold."""
    above, below = THRESHOLD
    for at in range(0, len(proposed), _BLOCK):
        block = proposed[at : at + _BLOCK]
        lengths = sizes[block]
        hits = marked[np.concatenate([sets[j] for j in block.tolist()])]
        shared = np.add.reduceat(hits.astype(np.int64), np.concatenate(([0], np.cumsum(lengths)[:-1])))
        within = np.flatnonzero(shared * below >= above * (size + lengths - shared))
        if len(within):
            return int(block[within[0]])
    return None


def _shingles(forms: list[str]) -> tuple[list[Ids], int]:
    """Each form's set of shingles as numbers that grow from rare to common, sorted; and how many numbers there are.

    A form shorter than a shingle is one shingle of its own, told apart by its padding.
    """
    padded = [form.ljust(SHINGLE, "\0") for form in forms]
    if not padded:
        return [], 0
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    # 2**21 code points: three fit into 64 bits. Renumbered triples two apart, which overlap in one, make a shingle:
    # exact.
    triples = np.unique((codes[:-2] << 42) | (codes[1:-1] << 21) | codes[2:], return_inverse=True)[1].astype(np.int64)
    grams = np.unique(triples[:-2] * (int(triples.max()) + 1) + triples[2:], return_inverse=True)[1]
    ends = np.cumsum([len(p) for p in padded])
    starts = np.concatenate(([0], ends[:-1]))
    raw = [np.unique(grams[a : b - SHINGLE + 1]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    frequency = np.bincount(np.concatenate(raw), minlength=int(grams.max()) + 1)
    rank = np.empty(len(frequency), dtype=np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    return [np.sort(rank[s]) for s in raw], len(frequency)
