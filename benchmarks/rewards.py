"""Microseconds of processor time a completion for all four rewards, one process, 4,096 completions of about 200 tokens.

    python -m benchmarks.rewards [--repeat 3]

Every completion is a different text and is parsed once; the released behaviour is timed on the same texts for scale.
Exits 1 when the paper's rewards take 60 microseconds or more.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from benchmarks.row import Row
from expertad.grid import cell_names
from expertad.taxonomy import COARSE_TYPES, FINE_TERMS
from training.rewards import Truth, read, reward_functions, scheme

COMPLETIONS = 4096
LIMIT_US = 60.0
WORDS = (
    "the surface shows even texture and no visible break near edge while region between marks stays smooth under light "
    "compared with expected shape color contour gloss boundary slight dark spot irregular depth"
).split()


def completions(seed: int = 0) -> tuple[list[str], dict[str, list[object]]]:
    """4,096 different completions, nine in ten well formed, with the truth columns; half the images are anomalous."""
    rng = random.Random(seed)
    texts: list[str] = []
    columns: dict[str, list[object]] = {k: [] for k in ("anomalous", "location", "fine_type", "coarse_type", "cells")}
    terms = [(term, coarse) for coarse in COARSE_TYPES for term in FINE_TERMS[coarse]]
    places = cell_names(3)
    for i in range(COMPLETIONS):
        anomalous = i % 8 < 4
        term, coarse = rng.choice(terms)
        cell = rng.randrange(9)
        truth = (True, places[cell], term, coarse, [cell]) if anomalous else (False, None, None, None, [])
        for name, value in zip(columns, truth, strict=True):
            columns[name].append(value)
        think = f"Item {i}. " + " ".join(rng.choices(WORDS, k=160))
        if rng.random() < 0.5:
            kind = rng.choice((f"{rng.choice(WORDS)} {rng.choice(terms)[0]}", rng.choice(terms)[0], term))
            place = rng.choice((f"the {rng.choice(places)} of the {rng.choice(WORDS)} part", rng.choice(places)))
            text = f"<think>{think}</think><location>{place}</location><type>{kind}</type><answer>Yes</answer>"
        else:
            text = f"<think>{think}</think><answer>No</answer>"
        texts.append(text[: rng.randrange(len(text))] if rng.random() < 0.1 else text)
    return texts, columns


def microseconds(spec: str, texts: list[str], columns: dict[str, list[object]]) -> float:
    """One cold pass of every reward of a scheme over all completions, per completion."""
    read.cache_clear()
    functions = reward_functions(scheme(spec))
    start = time.process_time()
    for function in functions:
        function(completions=texts, **columns)
    return (time.process_time() - start) / len(texts) * 1e6


def measure(repeat: int) -> dict[str, float]:
    """Microseconds a completion by scheme, the best of so many passes."""
    texts, columns = completions()
    Truth.from_row({name: values[0] for name, values in columns.items()})
    return {spec: min(microseconds(spec, texts, columns) for _ in range(repeat)) for spec in ("paper", "release")}


def rows(*, quick: bool = False) -> list[Row]:
    """The table's row."""
    best = measure(1 if quick else 3)
    figure = f"{best['paper']:.0f} us (released rewards: {best['release']:.0f} us)"
    return [Row("all rewards of one completion", figure, f"< {LIMIT_US:g} us", best["paper"] < LIMIT_US)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    best = measure(repeat)
    for spec, value in best.items():
        print(f"{spec:<8} {value:7.1f} us a completion, {COMPLETIONS} completions, best of {repeat}")
    print(f"limit    {LIMIT_US:7.1f} us for paper: {'met' if best['paper'] < LIMIT_US else 'MISSED'}")
    return 0 if best["paper"] < LIMIT_US else 1


if __name__ == "__main__":
    sys.exit(main())
