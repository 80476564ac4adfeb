"""Expected memory and hours, computed from sizes; nothing here was measured on a GPU.

    python -m training.memory

Memory of one process, mixed precision with AdamW: 2 bytes a weight for bf16 weights, 2 for gradients and 12 for
master weights and the two moments, the last two only for trained weights; ZeRO-1/2/3 divides optimizer, gradients and
weights in turn by the number of processes. Activations, with checkpointing: one hidden state a layer and token, the
working set of one layer, and the logits. Hours: floating-point operations over 40 % of an A100's 312 TFLOP/s;
sampling is bound by reading the weights once a token.
"""

from __future__ import annotations

import argparse

from training.backbones import Backbone, load, names
from training.settings import Settings, for_backbone, presets

GIB = 2**30
TEXT_TOKENS = 512
"""Tokens of question and reasoning beside the image's, for a typical row."""

OVERHEAD = 2.5 * GIB
"""CUDA context, communication buffers, fragmentation."""

FLOPS = 0.4 * 312e12
BANDWIDTH = 1.0e12
"""Bytes a second at which sampling reads weights: half of an A100's, to leave room for attention and scheduling."""

ROWS = {"pa_sft": 2900, "sc_grpo": 3000}


def trained(backbone: Backbone, settings: Settings) -> float:
    """Number of trained weights: all, or those of LoRA's seven matrices a layer."""
    if not settings.lora.rank:
        return float(backbone.parameters)
    return float(settings.lora.rank * backbone.layers * 24 * backbone.hidden)


def _states(backbone: Backbone, settings: Settings, processes: int) -> float:
    zero = settings.machine.zero
    train = trained(backbone, settings)
    weights = 2.0 * backbone.parameters / (processes if zero >= 3 else 1)
    gradients = 2.0 * train / (processes if zero >= 2 else 1)
    optimizer = 12.0 * train / (processes if zero >= 1 else 1)
    gathered = 4.0 * backbone.parameters / backbone.layers if zero >= 3 else 0.0
    return weights + gradients + optimizer + gathered


def _activations(backbone: Backbone, tokens: float, checkpointing: bool) -> float:
    layer = 34.0 * tokens * backbone.hidden
    kept = 2.0 * tokens * backbone.hidden * backbone.layers if checkpointing else layer * backbone.layers
    return kept + layer + 6.0 * tokens * backbone.vocabulary


def pa_sft_bytes(backbone: Backbone, settings: Settings) -> float:
    """Bytes one process of PA-SFT needs, for a typical row with one image."""
    tokens = settings.pa_sft.batch * (backbone.image_tokens + TEXT_TOKENS)
    processes = settings.machine.processes * settings.machine.nodes
    checkpointing = settings.pa_sft.gradient_checkpointing
    return _states(backbone, settings, processes) + _activations(backbone, tokens, checkpointing) + OVERHEAD


def sc_grpo_bytes(backbone: Backbone, settings: Settings) -> float:
    """Bytes one training process of SC-GRPO needs: as PA-SFT, and a frozen reference model where beta is not 0."""
    s = settings.sc_grpo
    prompt = min(backbone.image_tokens + TEXT_TOKENS // 2, s.max_prompt_tokens)
    tokens = s.batch * (prompt + s.max_completion_tokens)
    processes = settings.grpo_processes * settings.machine.nodes
    # With LoRA the reference is the model with its adapter switched off.
    keeps_reference = s.beta > 0 and not settings.lora.rank
    reference = 2.0 * backbone.parameters / (processes if settings.machine.zero >= 3 else 1) if keeps_reference else 0.0
    # Logits of the completions alone are kept.
    logits = 6.0 * s.batch * prompt * backbone.vocabulary
    return (
        _states(backbone, settings, processes)
        + reference
        + _activations(backbone, tokens, s.gradient_checkpointing)
        - logits
        + OVERHEAD
    )


def hours(backbone: Backbone, settings: Settings) -> tuple[float, float]:
    """(PA-SFT, SC-GRPO) hours on A100s for the paper's data sizes."""
    p, g = settings.pa_sft, settings.sc_grpo
    processes = settings.machine.processes * settings.machine.nodes
    row = backbone.image_tokens + TEXT_TOKENS
    factor = 8.0 if p.gradient_checkpointing else 6.0  # forward 2, backward 4, forward again 2
    sft = ROWS["pa_sft"] * p.epochs * row * factor * backbone.parameters / (FLOPS * processes)
    training = settings.grpo_processes * settings.machine.nodes
    completions = ROWS["sc_grpo"] * g.epochs * g.generations
    length = backbone.image_tokens + TEXT_TOKENS // 2 + g.max_completion_tokens // 2
    update = (
        completions * length * (factor + 4.0) * backbone.parameters / (FLOPS * training)
    )  # scored twice: old, reference
    steps = completions / (training * g.batch * g.accumulation)
    together = 1 if g.vllm != "off" else g.accumulation
    sampling = steps * together * (g.max_completion_tokens // 2) * 2.0 * backbone.parameters / BANDWIDTH
    return sft / 3600, (update + sampling) / 3600


def table() -> str:
    """Markdown table over all backbones and GPU presets."""
    lines = [
        "| backbone | preset | PA-SFT GiB | SC-GRPO GiB | PA-SFT hours | SC-GRPO hours |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name in names():
        backbone = load(name)
        for preset in presets():
            settings = for_backbone(preset, backbone, "")
            if settings.smoke:
                continue
            sft, grpo = hours(backbone, settings)
            need = pa_sft_bytes(backbone, settings) / GIB, sc_grpo_bytes(backbone, settings) / GIB
            lines.append(f"| {name} | {preset} | {need[0]:.0f} | {need[1]:.0f} | {sft:.1f} | {grpo:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m training.memory", description=__doc__.splitlines()[0]).parse_args()
    print(table())
