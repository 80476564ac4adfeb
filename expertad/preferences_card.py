"""The card (README.md) of published preference data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from expertad import __version__
from expertad.card import PublishInfo, by_count, cell, licence_id, licence_section, table
from expertad.record import SCHEMA_VERSION


def render(rows: Sequence[Mapping[str, Any]], unpaired: Mapping[str, int], info: PublishInfo, digest: str) -> str:
    """The card as Markdown with the YAML header from which `datasets` takes the file.

    Args:
        rows: the published pairs.
        unpaired: reason -> drafts that people edited or rejected and that gave no pair.
        info: what is known about the build.
        digest: digest of the rows.
    """
    sections = [
        _header(rows, info),
        _introduction(info),
        _contents(rows, unpaired),
        _loading(info),
        _columns(info),
        licence_section(info, with_images=False),
        f"## Version\n\nSchema version {SCHEMA_VERSION}, written by expertad {__version__}. Digest of the data: "
        f"`{digest}`.\nThe digest depends on the rows alone: equal rows have equal digests.",
    ]
    return "\n\n".join(sections) + "\n"


def _header(rows: Sequence[Mapping[str, Any]], info: PublishInfo) -> str:
    licence = licence_id(info.source_licence)
    head: dict[str, object] = {"license": licence}
    if licence == "other":
        head["license_name"] = info.source_licence
    head |= {
        "pretty_name": "Expert-AD preferences",
        "language": ["en"],
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["industrial-anomaly-detection", "chain-of-thought", "preference", "dpo", "trl", "expert-ad"],
        "size_categories": ["n<1K" if len(rows) < 1_000 else "1K<n<10K" if len(rows) < 10_000 else "10K<n<100K"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "preferences.json"}]}],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}\n---"


def _introduction(info: PublishInfo) -> str:
    return f"""# Expert-AD preferences

What reviewers of Expert-AD, built from {cell(info.source_title)}, made of a teacher's drafts, as pairs of replies
to one question about one image: people preferred `chosen` to `rejected`.

- **edited**: `chosen` is the text as a person corrected it, `rejected` the draft as it was shown.
- **rejected**: `rejected` is a draft that a person refused, `chosen` a text of the same sample that was accepted or
  published; the two may differ in more than what was refused.

Only samples of `pa_sft` and `sc_grpo` are here, under the data set's division by parts; none is held out. Pairs of a
sample that belongs to `sc_grpo` show reasoning about it: train on those of `pa_sft` alone if SC-GRPO follows."""


def _contents(rows: Sequence[Mapping[str, Any]], unpaired: Mapping[str, int]) -> str:
    counts = Counter((row["config"], row["kind"]) for row in rows)
    lines = [
        "## Contents",
        table(
            ("config", "edited", "rejected"),
            [(name, counts[name, "edited"], counts[name, "rejected"]) for name in ("pa_sft", "sc_grpo")],
        ),
    ]
    if reasons := Counter(reason for row in rows for reason in row["reasons"]):
        lines.append(table(("reason that people gave", "pairs"), by_count(reasons)))
    if unpaired:
        lines.append("Drafts that people edited or rejected and that gave no pair:")
        lines.append(table(("reason", "drafts"), by_count(unpaired)))
    return "\n\n".join(lines)


def _loading(info: PublishInfo) -> str:
    return f"""## Loading

Images are not included: `images` holds paths relative to the source's `{info.image_root}/` folder, and `image_sha256`
tells whether a file there is the one meant. With TRL:

```python
import os

from datasets import Image, List, load_dataset

rows = load_dataset("json", data_files="path/to/this/folder/preferences.json", split="train")
rows = rows.select_columns(["images", "prompt", "chosen", "rejected"])
rows = rows.map(lambda row: {{"images": [os.path.join("path/to/{info.image_root}", path) for path in row["images"]]}})
rows = rows.cast_column("images", List(Image()))  # then DPOTrainer(train_dataset=rows, ...), with max_length=None
```"""


def _columns(info: PublishInfo) -> str:
    rows = [
        ("id", "sample id; a sample has a pair for each of its drafts that people edited or rejected"),
        ("images", f"the query, or a normal reference and the query; relative to `{info.image_root}/`"),
        ("image_sha256", "SHA-256 of each image file"),
        ("category", "product category"),
        ("part", "the physical product; the id without its view"),
        ("config", "the part of the data set that the sample belongs to"),
        ("anomalous", "the truth"),
        ("shot", "1 when a reference is shown, else 0"),
        ("kind", "edited or rejected, as above"),
        ("reasons", "what people gave as reasons; `other` for what they wrote freely"),
        ("chosen_revision", "digest of what people were shown with the preferred text, before any correction"),
        ("rejected_revision", "the same, with the other text"),
        ("prompt", "the question as PA-SFT asks it, with a placeholder for each image"),
        ("chosen", "the preferred reply"),
        ("rejected", "the other reply"),
    ]
    return f"## Columns\n\n{table(('column', 'meaning'), [(f'`{name}`', meaning) for name, meaning in rows])}"
