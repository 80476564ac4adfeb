"""The data set's card (README.md): what is in it, who wrote it, under which licence, and how to load it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from expertad import __version__
from expertad.agreement import Agreement
from expertad.record import (
    CONFIGS,
    EXPERT_PROMPT,
    ONE_SHOT_PROMPT,
    QUESTION,
    SCHEMA_VERSION,
    SPLIT_OF,
    ZERO_SHOT_PROMPT,
    Config,
    Record,
)
from expertad.variant import Variant

GROUNDED = "grounded"
"""Name of the backend that measures instead of asking a model."""

UNSTATED = "not stated"
"""What a source says whose licence is unknown."""

# Licences under which anybody may pass images on, by their Hub identifiers; real ones are spelled in many ways.
_LICENCE_IDS = {
    "cc0": "cc0-1.0",
    "cc0 1.0": "cc0-1.0",
    "cc by 4.0": "cc-by-4.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc by-nc 4.0": "cc-by-nc-4.0",
    "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0",
    "apache-2.0": "apache-2.0",
    "mit": "mit",
}
_FREE = ("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "apache-2.0", "mit")


@dataclass(frozen=True, slots=True)
class ReviewStats:
    """What the people who reviewed did.

    Args:
        accepted: drafts accepted as they were.
        edited: drafts accepted with corrections.
        rejected: drafts rejected.
        annotators: how many people judged any of them.
        reasons: reason for a rejection -> how often it was given.
        agreement: of those who judged the same drafts; empty when nothing was reviewed twice.
        adjudicated: how many of all were decided by an adjudicator.
    """

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    annotators: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    agreement: tuple[Agreement, ...] = ()
    adjudicated: int = 0


@dataclass(frozen=True, slots=True)
class PublishInfo:
    """All that a card says and the rows do not.

    Args:
        source: short name of the source, such as "real_iad".
        source_title: its name for people.
        source_licence: as the source states it, such as "CC BY-NC-SA 4.0"; the annotations inherit it.
        seed: the build's seed.
        grid: n of the n x n grid.
        image_root: the name (no path) of the folder in the source that image paths are relative to.
        asked: published rows asked for, by config.
        held_out: share of the parts held out.
        one_shot: share of the rows that show a reference.
        accounting: state -> samples, as the run printed it.
        reasons: state -> reason -> samples.
        review: what reviewers did; None when nobody reviewed.
        notes: whatever else a reader must know, such as "the source had too few parts".
    """

    source: str
    source_title: str
    source_licence: str
    seed: int
    grid: int
    image_root: str = "realiad_1024"
    asked: Mapping[str, int] = field(default_factory=dict)
    held_out: float = 0.0
    one_shot: float = 0.0
    accounting: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    review: ReviewStats | None = None
    notes: tuple[str, ...] = ()


def licence_id(licence: str) -> str:
    """The Hub's identifier of a licence; "other" when it is none that is known here."""
    return _LICENCE_IDS.get(" ".join(licence.lower().replace("cc-", "cc ").split()), "other")


def may_redistribute(licence: str) -> bool:
    """True when anybody may pass the source's images on for any purpose, so that no one needs to be asked."""
    return licence_id(licence) in _FREE


def render(
    tables: Mapping[Config, Sequence[Record]],
    info: PublishInfo,
    *,
    variant: Variant,
    with_images: bool,
    digest: str,
    charts: Mapping[str, str],
) -> str:
    """The card as Markdown with the YAML header from which `datasets` takes the configs.

    Args:
        tables: the published records; a config without rows is left out of the header, since `datasets` cannot load it.
        info: what the rows do not say.
        variant: the published variant.
        with_images: whether the Parquet files hold the images' bytes.
        digest: digest of the published data.
        charts: file name under assets/ -> alternative text.
    """
    sections = [
        _header(tables, info),
        _introduction(tables, info, variant),
        _contents(tables, info, charts),
        _loading(tables, info, with_images),
        _columns(info),
        _teachers(tables),
        _review(tables, info),
        _accounting(info),
        licence_section(info, with_images),
        _limitations(tables),
        _citation(),
        f"## Version\n\nSchema version {SCHEMA_VERSION}, written by expertad {__version__}. Digest of the data: "
        f"`{digest}`.\nThe digest depends on the rows alone: two builds with equal rows have equal digests.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _header(tables: Mapping[Config, Sequence[Record]], info: PublishInfo) -> str:
    filled = [config for config in CONFIGS if tables.get(config)]
    total = sum(len(tables[config]) for config in filled)
    licence = licence_id(info.source_licence)
    head: dict[str, object] = {"license": licence}
    if licence == "other":
        head["license_name"] = info.source_licence
    head |= {
        "pretty_name": "Expert-AD",
        "language": ["en"],
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "tags": ["industrial-anomaly-detection", "chain-of-thought", "vision-language", "expert-ad", "iad-r1"],
        "size_categories": ["n<1K" if total < 1_000 else "1K<n<10K" if total < 10_000 else "10K<n<100K"],
        "configs": [
            {
                "config_name": config,
                **({"default": True} if index == 0 else {}),
                "data_files": [{"split": SPLIT_OF[config], "path": f"{config}/{SPLIT_OF[config]}-*.parquet"}],
            }
            for index, config in enumerate(filled)
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}\n---"


def _introduction(tables: Mapping[Config, Sequence[Record]], info: PublishInfo, variant: Variant) -> str:
    text = f"""# Expert-AD

Industrial anomaly detection as image + question → structured reasoning: a vision-language model is asked
"{QUESTION}" and answers with a chain of thought, the defect's location, its type,
and yes or no. Built from {cell(info.source_title)} after the method of IAD-R1. It is a new construction, not the
authors' own data, which were not released.

- **pa_sft**: supervised fine-tuning, each row with its full reasoning.
- **sc_grpo**: reinforcement learning, each row with the truth that rewards compare with.
- **held_out**: parts that are in neither, with their truth only.

No part (a physical product, with all its views) is in two of them."""
    explained = {
        "answer-only": "**Variant `answer-only`**: `pa_sft` teaches the final answer without reasoning "
        '(the paper\'s "Original" setting); images and order are those of the full data set.',
        "coarse-type": "**Variant `coarse-type`**: the coarse type stands in place of the fine-grained one. "
        "The reasoning is that of the full data set and may still use the narrower term.",
        "fraction": f"**Variant `{variant.name}`**: {variant.percent} % of the full `pa_sft`, stratified by category "
        "and coarse type; each percentage contains all smaller ones. `sc_grpo` and `held_out` are whole.",
    }
    notes = [explained[variant.kind]] if variant.kind in explained else []
    written = [record for config in CONFIGS for record in tables.get(config, ()) if config != "held_out"]
    grounded = sum(_known(record, "backend") == GROUNDED for record in written)
    if grounded:
        notes.append(
            f"**{_share(grounded, len(written))} of the reasoning is measured, template-written text; not a "
            f"vision-language model's.** The `{GROUNDED}` teacher measures images and masks and fills templates. "
            "It shows the form and makes pipelines run; do not expect a model trained on it to reason like an expert."
        )
    notes += [cell(note) for note in info.notes]
    return "\n\n".join([text, *(f"> {note}" for note in notes)])


def _contents(tables: Mapping[Config, Sequence[Record]], info: PublishInfo, charts: Mapping[str, str]) -> str:
    rows = []
    for config in CONFIGS:
        records = tables.get(config, ())
        anomalous = sum(record.anomalous for record in records)
        asked = info.asked.get(config)
        rows.append(
            (
                f"`{config}`",
                SPLIT_OF[config],
                len(records),
                "–" if asked is None else asked,
                len(records) - anomalous,
                anomalous,
                len({record.part for record in records}),
                len({record.category for record in records}),
                sum(record.shot for record in records),
            )
        )
    head = ("config", "split", "rows", "asked for", "normal", "anomalous", "parts", "categories", "1-shot")
    lines = [
        "## Contents",
        table(head, rows),
        f"Seed {info.seed}, grid {info.grid} x {info.grid}, held-out share of the parts {info.held_out:g}, "
        f"1-shot share {info.one_shot:g}.",
    ]
    empty = [f"`{config}`" for config in CONFIGS if not tables.get(config)]
    if empty:
        lines.append(f"Without rows, and therefore not loadable: {', '.join(empty)}.")
    if charts:
        lines.append("The charts count the rows of all configs; `held_out` has no fine-grained types.")
    lines += [f"![{text}](assets/{name})" for name, text in charts.items()]
    return "\n\n".join(lines)


def _loading(tables: Mapping[Config, Sequence[Record]], info: PublishInfo, with_images: bool) -> str:
    filled = [config for config in CONFIGS if tables.get(config)] or list(CONFIGS[:1])
    images = (
        '`row["images"]` holds decoded images; their bytes are the source\'s, untouched.'
        if with_images
        else f'Images are not included: `row["images"]` holds paths relative to the source\'s `{info.image_root}/` '
        'folder, and `row["image_sha256"]` tells whether a file there is the one meant.'
    )
    one_shot = any(record.shot for record in tables.get("sc_grpo", ()))
    loads = "\n".join(
        f'{config} = load_dataset("path/to/this/folder", "{config}", split="{SPLIT_OF[config]}")' for config in filled
    )
    return f"""## Loading

```python
from datasets import load_dataset

{loads}
```

{images}

PA-SFT with LLaMA-Factory (`pa_sft.json` in its sharegpt form; the images come from the source). Its `full` training
leaves the vision tower and the projector frozen unless told otherwise; the paper trains all weights:

```yaml
dataset_dir: path/to/this/folder
dataset: expert_ad_pa_sft
media_dir: path/to/{info.image_root}
finetuning_type: full
freeze_vision_tower: false
freeze_multi_modal_projector: false
```

SC-GRPO with TRL; it asks with the paper's instruction before the question, and `solution` reaches the reward functions
as a keyword argument:

```python
import os

from datasets import load_dataset
from PIL import Image

rows = load_dataset("json", data_files="path/to/this/folder/sc_grpo.json", split="train")

{_frames(one_shot)}


def to_prompt(row):
    paths = row["image"] if isinstance(row["image"], list) else [row["image"]]
    images = [Image.open(os.path.join("path/to/{info.image_root}", path)) for path in paths]
    frame = {"(TWO if len(images) == 2 else ONE)" if one_shot else "ONE"}.format(question=row["problem"])
    content = []
    for number, text in enumerate(frame.split("<image>")):
        content += [{{"type": "image"}}] * (number > 0) + [{{"type": "text", "text": text}}] * bool(text)
    return {{"prompt": [{{"role": "user", "content": content}}], "images": images}}


rows = rows.map(to_prompt, remove_columns=["image"])  # then GRPOTrainer(train_dataset=rows, ...)
```

A file whose rows all show one image gives it as a path; otherwise every row of the file gives a list, the reference
before the query."""


def _frames(one_shot: bool) -> str:
    """Python lines with the prompts of SC-GRPO; the one of two images only where the data have such rows."""

    def line(name: str, prompt: str) -> str:
        text = prompt.removesuffix(QUESTION) + EXPERT_PROMPT
        pieces = [piece + "\n" for piece in text.split("\n")]
        pieces[-1] = pieces[-1].removesuffix("\n")
        body = "\n".join(f"    {json.dumps(piece)}" for piece in pieces)
        return f"{name} = (\n{body}\n)"

    lines = [line("ONE", ZERO_SHOT_PROMPT)]
    if one_shot:
        lines += ["# The first image is the normal reference, the second the query.", line("TWO", ONE_SHOT_PROMPT)]
    return "\n".join(lines)


def _columns(info: PublishInfo) -> str:
    last = info.grid * info.grid - 1
    rows = [
        ("id", "all", "sample id, unique over all configs"),
        ("images", "all", f"the query, or a normal reference and the query; relative to `{info.image_root}/`"),
        ("image_sha256", "all", "SHA-256 of each image file"),
        ("category", "all", "product category"),
        ("part", "all", "the physical product; the id without its view"),
        ("view", "all", 'camera, "C1" to "C5"; empty where the source has none'),
        ("anomalous", "all", "the truth"),
        ("coarse_type", "all", "one of eight types; null when normal"),
        ("fine_type", "all", "narrower term under the coarse type; null when normal, and in held_out"),
        ("location", "all", "name of the grid cell with most of the defect; null when normal"),
        ("cells", "all", f"0-based cells (0 to {last}, reading order) with at least a tenth of the defect"),
        ("boxes", "all", "pixel [x, y, width, height] of the mask's connected components, largest first"),
        ("shot", "all", "1 when a reference is shown, else 0"),
        ("reviewed", "all", "human, or auto when checks alone let it pass; null in held_out"),
        ("revision", "all", "digest of what a reviewer is shown; null in held_out"),
        ("provenance", "all", "source, reference, teacher, models, prompts, annotators (pseudonyms); texts"),
        ("messages", "pa_sft", "question and taught answer, with a placeholder for each image"),
        ("problem", "sc_grpo", "the question"),
        ("solution", "sc_grpo", "location, type and answer in their tags; the answer alone when normal"),
    ]
    patterns = (
        "Answers follow one of two patterns:\n\n"
        "    <think>…</think><answer>No</answer>\n"
        "    <think>…</think><location>…</location><type>…</type><answer>Yes</answer>"
    )
    prompt = ONE_SHOT_PROMPT.replace("\n", "\n    ")
    return (
        f"## Columns\n\n{table(('column', 'config', 'meaning'), [(f'`{a}`', b, c) for a, b, c in rows])}\n\n"
        f"A reviewer may name a cell outside the mask's; it is then added to `cells`, and `boxes` stay the mask's.\n\n"
        f"{patterns}\n\nThe 1-shot question is:\n\n    {prompt}"
    )


def _teachers(tables: Mapping[Config, Sequence[Record]]) -> str:
    keys = ("backend", "describe_model", "describe_prompt", "distill_model", "distill_prompt", "checks")
    counts = Counter(
        tuple(_known(record, key) for key in keys)
        for config in CONFIGS
        if config != "held_out"
        for record in tables.get(config, ())
    )
    if not counts:
        return ""
    rows = [(*(value or "–" for value in combination), count) for combination, count in sorted(counts.items())]
    head = ("teacher", "model, step 2", "prompt, step 2", "model, step 3", "prompt, step 3", "checks", "rows")
    return (
        "## Who wrote the reasoning\n\n"
        "Step 2 describes the image beside a normal reference; step 3 distills the description into reasoning and a "
        f"fine-grained type.\n\n{table(head, rows)}"
    )


def _review(tables: Mapping[Config, Sequence[Record]], info: PublishInfo) -> str:
    reviewed = Counter(record.reviewed for config in CONFIGS for record in tables.get(config, ()) if record.reviewed)
    total = sum(reviewed.values())
    lines = [
        "## Review",
        f"Of {total:,} rows with reasoning, {_share(reviewed['human'], total)} were passed by a person and "
        f"{_share(reviewed['auto'], total)} by automatic checks alone; the `reviewed` column tells which."
        if total
        else "No row has reasoning to review.",
    ]
    review = info.review
    if review is None:
        return "\n\n".join(lines)
    lines.append(
        f"{review.annotators:,} annotator{'' if review.annotators == 1 else 's'} accepted {review.accepted:,} drafts, "
        f"corrected {review.edited:,} and rejected {review.rejected:,}."
        + (f" Of these, {review.adjudicated:,} were decided by an adjudicator." if review.adjudicated else "")
    )
    if review.reasons:
        lines.append(table(("reason for a rejection", "times"), by_count(review.reasons)))
    lines.append(
        _agreement(review.agreement)
        if review.agreement
        else "Nothing was reviewed by two people, so agreement is unknown."
    )
    return "\n\n".join(lines)


def _agreement(found: Sequence[Agreement]) -> str:
    head = ("agreement on", "measure", "value", "equal pairs", "drafts", "annotators")
    rows = [
        (
            agreement.about,
            agreement.statistic,
            "–" if agreement.value is None else f"{agreement.value:.3f}",
            f"{agreement.observed:.1%}",
            agreement.items,
            agreement.annotators,
        )
        for agreement in found
    ]
    undefined = any(agreement.value is None for agreement in found)
    note = "\n\nA measure is undefined (–) where everybody always chose the same label." if undefined else ""
    return (
        "Drafts that two people or more judged, each person by the latest verdict, before any adjudication. Place and "
        f"type are compared where a draft was not rejected.\n\n{table(head, rows)}{note}"
    )


def _accounting(info: PublishInfo) -> str:
    if not info.accounting:
        return ""
    lines = [
        "## Accounting",
        "Every sample of the source is in exactly one state: ingested = selected + unselected + unusable, and "
        "selected = published + rejected + quarantined + pending.",
        table(("state", "samples"), list(info.accounting.items())),
    ]
    reasons = [(state, *pair) for state, counts in info.reasons.items() for pair in by_count(counts)]
    if reasons:
        lines.append(table(("state", "reason", "samples"), reasons))
    return "\n\n".join(lines)


def licence_section(info: PublishInfo, with_images: bool) -> str:
    """What the source's licence means for whoever passes the folder on."""
    licence = cell(info.source_licence)
    title = cell(info.source_title)
    images = (
        f"The images in the Parquet files are those of {title} (licence: {licence})."
        if with_images
        else f"The images are not part of this data set; get them from {title} (licence: {licence})."
    )
    annotations = (
        "The annotations are derived from it; ask its owner before you pass anything on."
        if info.source_licence == UNSTATED
        else "The annotations are derived from it and are published under the same licence."
    )
    return f"## Licence\n\n{images} {annotations}\nAnnotators appear under pseudonyms."


def _limitations(tables: Mapping[Config, Sequence[Record]]) -> str:
    auto = any(record.reviewed == "auto" for records in tables.values() for record in records)
    points = [
        "The reasoning was written by a teacher that had been told the truth. It explains a known answer; it does not "
        "show how likely the teacher was to find it.",
        "Checks look for leaks of what the student cannot see, for wrong places, and for missing layers of reasoning. "
        "They are rules, and miss what rules miss.",
        "`location` is one cell. A defect that spans several is described by `cells` and `boxes`.",
        "Labels and masks are the source's and carry its mistakes.",
    ]
    if auto:
        points.append("Rows marked `auto` were seen by no person.")
    return "## Limitations\n\n" + "\n".join(f"- {point}" for point in points)


def _citation() -> str:
    return """## Citation

```bibtex
@article{li2025iadr1,
  title   = {{IAD-R1}: Reinforcing Consistent Reasoning in Industrial Anomaly Detection},
  author  = {Li, Yanhui and Cao, Yunkang and Liu, Chengliang and Xiong, Yuan and Dong, Xinghui and Huang, Chao},
  journal = {arXiv preprint arXiv:2508.09178},
  year    = {2025}
}

@inproceedings{wang2024realiad,
  title     = {{Real-IAD}: A Real-World Multi-View Dataset for Benchmarking Versatile Industrial Anomaly Detection},
  author    = {Wang, Chengjie and Zhu, Wenbing and Gao, Bin-Bin and Gan, Zhenye and Zhang, Jiangning and Gu, Zhihao and
               Qian, Shuguang and Chen, Mingang and Ma, Lizhuang},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2024}
}
```"""


def _known(record: Record, key: str) -> str:
    return dict(record.provenance).get(key, "")


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else "0"


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The commonest first, equals by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def cell(value: object) -> str:
    """A value inside Markdown: on one line, with nothing in it that ends a table cell or begins an HTML tag."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
