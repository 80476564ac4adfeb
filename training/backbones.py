"""The backbones: one file each under configs/, five architectures, and how a model and its processor are loaded.

A new backbone of a known architecture is one more file in configs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from expertad.errors import ConfigError

CONFIGS = Path(__file__).parent / "configs"
TEMPLATES = Path(__file__).parent / "templates"

ARCHITECTURES: dict[str, str] = {
    "qwen2_vl": "qwen_vl",
    "qwen2_5_vl": "qwen_vl",
    "llava_onevision": "llava_onevision",
    "llava": "llava",
    "llava_next": "llava_next",
}
"""Architecture (transformers' `model_type`) -> the template under templates/ that its prompts are written with."""

VISION_PARTS = ("visual.", "vision_tower.", "vision_model.")
PROJECTOR_PARTS = ("visual.merger", "multi_modal_projector", "image_newline")


@dataclass(frozen=True)
class Backbone:
    """One backbone as configs/<name>.yaml gives it.

    Args:
        name: what `--backbone` takes.
        hub: hub id, or a folder.
        arch: one of ARCHITECTURES.
        parameters: number of weights, language and vision together.
        layers, hidden, vocabulary: of the language model, for memory estimates.
        image_tokens: tokens one image of `max_pixels` takes, at most.
        image_tokens_of_several: the same for each image of a prompt with two; None when it makes no difference.
        max_pixels: larger images are scaled down to this many; written into the saved processor.
        pa_sft_learning_rate, sc_grpo_learning_rate: peak learning rates.
        pa_sft_tokens: most tokens a PA-SFT row may have (the release's cutoff; a longer row is an error, never cut).
        sc_grpo_prompt_tokens: most tokens an SC-GRPO prompt may have.
    """

    name: str
    hub: str
    arch: str
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    image_tokens: int
    max_pixels: int
    pa_sft_learning_rate: float
    sc_grpo_learning_rate: float
    pa_sft_tokens: int
    sc_grpo_prompt_tokens: int
    image_tokens_of_several: int | None = None

    def tokens_of(self, images: int) -> int:
        """Most tokens that so many images of one prompt take together."""
        several = self.image_tokens if self.image_tokens_of_several is None else self.image_tokens_of_several
        return self.image_tokens if images == 1 else images * several


def names() -> list[str]:
    """The names of all backbones, smallest first."""
    return [b.name for b in sorted(map(load, (p.stem for p in CONFIGS.glob("*.yaml"))), key=lambda b: b.parameters)]


def load(name: str) -> Backbone:
    """Reads configs/<name>.yaml.

    Raises:
        ConfigError: no such backbone, or a file with a missing or unknown key.
    """
    path = CONFIGS / f"{name}.yaml"
    known = sorted(p.stem for p in CONFIGS.glob("*.yaml"))
    if name not in known:  # looked up, not opened: a name is no path
        raise ConfigError(f"unknown backbone {name!r}; known: {', '.join(known)}, or all")
    try:
        backbone = Backbone(name=name, **yaml.safe_load(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from None
    if backbone.arch not in ARCHITECTURES:
        raise ConfigError(f"{path}: unknown architecture {backbone.arch!r}; known: {', '.join(ARCHITECTURES)}")
    return backbone


def chat_template(arch: str) -> str:
    """The project's chat template for an architecture.

    Its prompt is a strict prefix of prompt + completion, it opens with the BOS token where the model has one, and it
    writes image placeholders where the message has them, so text between two images keeps them apart. The hub's
    LLaVA-OneVision template breaks the first and the hub's LLaVA templates the last.
    """
    return (TEMPLATES / f"{ARCHITECTURES[arch]}.jinja").read_text(encoding="utf-8").rstrip("\n")


def load_processor(path: str, arch: str, max_pixels: int | None = None) -> Any:
    """The processor with the project's template, left padding and the pixel limit baked in.

    Neither TRL nor vLLM hands arguments to a processor, so what must hold has to be saved with it.
    """
    from training.compat import import_torchvision

    import_torchvision()
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(path, padding_side="left")
    processor.chat_template = chat_template(arch)
    images = processor.image_processor
    if max_pixels is not None and arch in ("qwen2_vl", "qwen2_5_vl"):
        size = dict(images.size)
        key = "longest_edge" if "longest_edge" in size else "max_pixels"
        size[key] = min(int(size.get(key, max_pixels)), max_pixels)
        images.size = size
        if hasattr(images, "max_pixels"):
            images.max_pixels = size[key]
    return processor


def load_model(path: str, dtype: str = "bfloat16", attention: str | None = None) -> Any:
    """The model with weights of `dtype`; flash-attention 2 where it is installed and a GPU is there, else PyTorch's."""
    from training.compat import import_torchvision

    import_torchvision()
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils import is_flash_attn_2_available

    if attention is None:
        attention = "flash_attention_2" if torch.cuda.is_available() and is_flash_attn_2_available() else "sdpa"
    return AutoModelForImageTextToText.from_pretrained(path, dtype=getattr(torch, dtype), attn_implementation=attention)


def freeze(model: Any, what: str) -> int:
    """Freezes weights; returns how many.

    Args:
        model: a loaded model.
        what: "nothing" (the paper's full-parameter training), or "release": vision tower and projector, which the
            released PA-SFT leaves frozen because LLaMA-Factory's "full" does unless told otherwise.

    Raises:
        ConfigError: another word, or a model in which no vision weights were found.
    """
    if what == "nothing":
        return 0
    if what != "release":
        raise ConfigError(f"--freeze takes nothing or release, not {what!r}")
    frozen = 0
    for name, weight in model.named_parameters():
        if any(part in name for part in (*VISION_PARTS, *PROJECTOR_PARTS)):
            weight.requires_grad_(False)
            frozen += getattr(weight, "ds_numel", weight.numel())  # under ZeRO-3 a divided weight looks empty
    if not frozen:
        raise ConfigError("--freeze release found no vision tower or projector in this model")
    return frozen
