"""Backbones of the five architectures with a few hundred thousand random weights, for tests and `--preset smoke`.

    python -m training.tiny --arch llava_onevision --dataset DIR --image-root DIR --out DIR

Nothing is downloaded: tokenizer, image processor, template and weights are made here and saved like a real backbone's,
so every later step runs the same code. Random weights do not see: training.warm teaches vision tower and projector, not
the language model, to tell what lies where, as a pretrained backbone's do before PA-SFT.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertad.errors import ExpertADError
from training.backbones import ARCHITECTURES, chat_template
from training.compat import import_torchvision

IMAGE_TOKENS = {"qwen2_vl": "<|image_pad|>", "qwen2_5_vl": "<|image_pad|>"}
_CHATML = ("<|endoftext|>", "<|im_end|>", None)
_LLAMA = ("<pad>", "</s>", "<s>")
_PAD_EOS_BOS = {
    "qwen2_vl": _CHATML,
    "qwen2_5_vl": _CHATML,
    "llava_onevision": _CHATML,
    "llava": _LLAMA,
    "llava_next": _LLAMA,
}
_QWEN_MARKS = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
_MARKS = {"qwen2_vl": _QWEN_MARKS, "qwen2_5_vl": _QWEN_MARKS, "llava_onevision": ("<|im_start|>", "<video>")}


@dataclass(frozen=True)
class Shape:
    """Sizes of a tiny model; `image` is the side, in pixels, of the square it sees, `patch` of one vision token."""

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    vision_hidden: int = 64
    vision_layers: int = 2
    image: int = 84
    patch: int = 14
    vocabulary: int = 1024


def build(arch: str, corpus: Iterable[str], shape: Shape = Shape(), seed: int = 0) -> tuple[Any, Any]:  # noqa: B008
    """A random model and its processor.

    Args:
        arch: one of backbones.ARCHITECTURES.
        corpus: texts that the tokenizer's merges are learnt from; any text can be written, bytes are its alphabet.
        shape: sizes.
        seed: of the weights.

    Returns:
        (model in float32, processor).
    """
    import_torchvision()
    import torch

    torch.manual_seed(seed)
    tokenizer = _tokenizer(arch, corpus, shape.vocabulary)
    model, processor = _BUILDERS[arch](shape, tokenizer)
    processor.chat_template = chat_template(arch)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float(), processor


def _tokenizer(arch: str, corpus: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    pad, eos, bos = _PAD_EOS_BOS[arch]
    image = IMAGE_TOKENS.get(arch, "<image>")
    marks = _MARKS.get(arch, ())
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[t for t in (pad, bos, eos, image, *marks) if t],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    if bos:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, bpe.token_to_id(bos))]
        )
    named = {"bos_token": bos} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=pad,
        eos_token=eos,
        model_max_length=8192,
        padding_side="left",
        extra_special_tokens=[image, *marks],
        **named,
    )


def _text(shape: Shape, tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.hidden * 4,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": max(1, shape.heads // 2),
        "max_position_embeddings": 8192,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        # The usual 0.02 is for widths of thousands: here attention would start all but even, and stay so for long.
        "initializer_range": shape.hidden**-0.5,
    }


def _clip(shape: Shape, side: int) -> dict[str, Any]:
    return {
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_hidden * 4,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.heads,
        "image_size": side,
        "patch_size": shape.patch,
    }


def _qwen(shape: Shape, tokenizer: Any, generation: str) -> tuple[Any, Any]:
    import transformers as tf

    half_head = shape.hidden // shape.heads // 2
    time_part = half_head // 4
    row_part = (half_head - time_part) // 2
    text = _text(shape, tokenizer) | {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            # The three sections share half a head between time, rows and columns.
            "mrope_section": [time_part, row_part, half_head - time_part - row_part],
        }
    }
    vision: dict[str, Any] = {
        "depth": shape.vision_layers,
        "num_heads": shape.heads,
        "patch_size": shape.patch,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    # `hidden_size` of the vision part is its output width in Qwen2-VL but its inner width in Qwen2.5-VL.
    if generation == "2":
        vision |= {"embed_dim": shape.vision_hidden, "hidden_size": shape.hidden, "mlp_ratio": 4}
        config_class, model_class, processor_class = (
            tf.Qwen2VLConfig,
            tf.Qwen2VLForConditionalGeneration,
            tf.Qwen2VLProcessor,
        )
    else:
        vision |= {
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_hidden * 4,
            "out_hidden_size": shape.hidden,
            "window_size": shape.patch * 8,
            "fullatt_block_indexes": [shape.vision_layers - 1],
        }
        config_class, model_class, processor_class = (
            tf.Qwen2_5_VLConfig,
            tf.Qwen2_5_VLForConditionalGeneration,
            tf.Qwen2_5_VLProcessor,
        )
    ids = tokenizer.convert_tokens_to_ids
    config = config_class(
        text_config=text,
        vision_config=vision,
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    images = tf.Qwen2VLImageProcessor(
        patch_size=shape.patch,
        merge_size=2,
        temporal_patch_size=2,
        min_pixels=(2 * shape.patch) ** 2,
        max_pixels=shape.image**2,
    )
    processor = processor_class(image_processor=images, tokenizer=tokenizer, video_processor=tf.Qwen2VLVideoProcessor())
    return model_class(config), processor


def _llava_onevision(shape: Shape, tokenizer: Any) -> tuple[Any, Any]:
    import transformers as tf

    side = shape.image // 2
    grids = [[side * rows, side * columns] for rows in (1, 2) for columns in (1, 2)]
    config = tf.LlavaOnevisionConfig(
        text_config=tf.Qwen2Config(**_text(shape, tokenizer)),
        vision_config=_clip(shape, side) | {"model_type": "siglip_vision_model", "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        tie_word_embeddings=False,
    )
    processor = tf.LlavaOnevisionProcessor(
        image_processor=tf.LlavaOnevisionImageProcessor(
            size={"height": side, "width": side}, image_grid_pinpoints=grids
        ),
        tokenizer=tokenizer,
        video_processor=tf.LlavaOnevisionVideoProcessor(),
        num_image_tokens=(side // shape.patch) ** 2,
        vision_feature_select_strategy="full",
    )
    return tf.LlavaOnevisionForConditionalGeneration(config), processor


def _llava(shape: Shape, tokenizer: Any) -> tuple[Any, Any]:
    import transformers as tf

    config = tf.LlavaConfig(
        text_config=tf.LlamaConfig(**_text(shape, tokenizer)),
        vision_config=_clip(shape, shape.image)
        | {"model_type": "clip_vision_model", "projection_dim": shape.vision_hidden},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(shape.image // shape.patch) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    processor = tf.LlavaProcessor(
        image_processor=tf.CLIPImageProcessor(
            size={"shortest_edge": shape.image}, crop_size={"height": shape.image, "width": shape.image}
        ),
        tokenizer=tokenizer,
        patch_size=shape.patch,
        num_additional_image_tokens=1,  # CLIP's class token, which the strategy "default" drops again
        vision_feature_select_strategy="default",
    )
    return tf.LlavaForConditionalGeneration(config), processor


def _llava_next(shape: Shape, tokenizer: Any) -> tuple[Any, Any]:
    import transformers as tf

    side = shape.image // 2
    grids = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]
    config = tf.LlavaNextConfig(
        text_config=tf.MistralConfig(**_text(shape, tokenizer)),
        vision_config=_clip(shape, side) | {"model_type": "clip_vision_model", "projection_dim": shape.vision_hidden},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // shape.patch) ** 2,
        image_grid_pinpoints=grids,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    processor = tf.LlavaNextProcessor(
        image_processor=tf.LlavaNextImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}, image_grid_pinpoints=grids
        ),
        tokenizer=tokenizer,
        patch_size=shape.patch,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
    )
    return tf.LlavaNextForConditionalGeneration(config), processor


_BUILDERS = {
    "qwen2_vl": lambda shape, tokenizer: _qwen(shape, tokenizer, "2"),
    "qwen2_5_vl": lambda shape, tokenizer: _qwen(shape, tokenizer, "2.5"),
    "llava_onevision": _llava_onevision,
    "llava": _llava,
    "llava_next": _llava_next,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Builds, warms and saves a tiny backbone for a data set."""
    from training.data import corpus, load_rows
    from training.warm import warm_vision

    parser = argparse.ArgumentParser(prog="python -m training.tiny", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="llava_onevision")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--image-root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hidden", type=int, default=Shape.hidden)
    parser.add_argument("--layers", type=int, default=Shape.layers)
    parser.add_argument("--vision-hidden", type=int, default=Shape.vision_hidden)
    parser.add_argument("--vision-layers", type=int, default=Shape.vision_layers)
    parser.add_argument("--image", type=int, default=Shape.image)
    parser.add_argument("--patch", type=int, default=Shape.patch)
    parser.add_argument("--vocabulary", type=int, default=Shape.vocabulary)
    parser.add_argument("--warm-steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    shape = Shape(
        hidden=args.hidden,
        layers=args.layers,
        vision_hidden=args.vision_hidden,
        vision_layers=args.vision_layers,
        image=args.image,
        patch=args.patch,
        vocabulary=args.vocabulary,
    )
    try:
        rows = load_rows(args.dataset, "pa_sft", args.image_root)
    except ExpertADError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    model, processor = build(args.arch, corpus(rows), shape, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.warm_steps:
        for line in warm_vision(model, processor, [rows[i] for i in range(len(rows))], args.warm_steps, seed=args.seed):
            print(json.dumps(line), flush=True)
    model.save_pretrained(args.out)
    processor.save_pretrained(args.out)
    print(f"{args.arch}: {sum(w.numel() for w in model.parameters()) / 1e6:.2f} M weights in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
