"""Cases over real and drawn photographs, without a build around them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from expertad.grid import locate
from expertad.images import read_mask, read_photo_facts
from expertad.sample import Case, ImageFile, Sample
from expertad.sources.base import Source


def cases(source: Source, count: int) -> list[Case]:
    """Up to `count` cases of a source, categories in turn, each beside the first normal view like it."""
    samples = {name: source.read(name).samples for name in source.categories()}
    found: list[Case] = []
    for name in samples:
        share = -(-count // len(samples))
        reference = next(sample for sample in samples[name] if sample.stratum == "normal")
        template = _file(source, reference)
        usable = (s for s in samples[name] if s.stratum != "ng_view_ok" and s.sample_id != reference.sample_id)
        found += [_case(source, sample, template, reference.sample_id) for sample in islice(usable, share)]
    return found[:count]


def _case(source: Source, sample: Sample, template: ImageFile, reference_id: str) -> Case:
    query = _file(source, sample)
    mask: Path | None = None
    region = None
    if sample.mask_path is not None:
        mask = source.image_root / sample.mask_path
        region = locate(read_mask(mask, (query.width, query.height)))
    return Case(sample, query, template, reference_id, region, mask)


def _file(source: Source, sample: Sample) -> ImageFile:
    path = source.image_root / sample.image_path
    facts = read_photo_facts(path)
    return ImageFile(path, sample.image_path, facts.sha256, facts.width, facts.height)
