"""Gives a tiny random backbone eyes: a short training of vision tower and projector, before the language model's first.

A real backbone arrives with a tower that contrastive pretraining has taught to see; a random one would keep PA-SFT on a
plateau. Linear heads, thrown away afterwards, ask two things of the projector's output, each token brought to length
one first, as the language model's first norm does:

* of every token, which defect it shows and in which cell it lies;
* of the mean of an image's tokens, which defect the image shows and in which cell, as contrastive pretraining pools.

The language model's untrained attention is even, so that it sees the mean at first. After the first task alone nothing
of the place is in the mean (every cell is there once, with or without a defect), and the second alone is not learnt
for a long time; together they are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from expertad.grid import cell_names
from expertad.taxonomy import COARSE_TYPES
from training.backbones import PROJECTOR_PARTS, VISION_PARTS

KINDS = 1 + len(COARSE_TYPES)
CELLS = cell_names(3)
NO_CELL = -100
"""What torch's cross entropy leaves out: the cell of a normal image."""


def _kind(row: Any) -> int:
    """0 for a normal image, 1 + the coarse type's number for another."""
    return 1 + COARSE_TYPES.index(row["coarse_type"]) if row["anomalous"] else 0


def _token_kinds(row: Any, k: int) -> list[int]:
    """For each of k x k vision tokens the kind of a defect box that it meets, else 0."""
    width, height = row["images"][-1].size
    kinds = [0] * (k * k)
    for x, y, w, h in row["boxes"] if row["anomalous"] else ():
        for r in range(y * k // height, (y + h - 1) * k // height + 1):
            for c in range(x * k // width, (x + w - 1) * k // width + 1):
                kinds[r * k + c] = _kind(row)
    return kinds


def _token_cells(k: int) -> list[int]:
    """For each of k x k vision tokens the 3 x 3 cell that it begins in."""
    return [(r * 3 // k) * 3 + c * 3 // k for r in range(k) for c in range(k)]


def warm_vision(
    model: Any,
    processor: Any,
    rows: Sequence[Any],
    steps: int = 200,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Trains vision tower and projector on the two tasks above.

    Args:
        model: a tiny model; its language weights are left alone.
        processor: its processor.
        rows: training rows with images, anomalous, coarse_type, location and boxes; no held-out row may be among them.
        steps: number of updates.
        batch: images an update.
        rate: peak learning rate.
        seed: of the heads and the order.

    Returns:
        Every 50 steps: step, loss, share of the batch's images whose kind, and of those with a defect whose cell, is
        read rightly from the mean, seconds.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    torch.manual_seed(seed)
    side = model.config.vision_config
    width = model.config.get_text_config().hidden_size
    token_head, image_head = (torch.nn.Linear(width, KINDS + len(CELLS)) for _ in range(2))
    eyes = [w for name, w in model.named_parameters() if any(p in name for p in (*VISION_PARTS, *PROJECTOR_PARTS))]
    weights = [*eyes, *token_head.parameters(), *image_head.parameters()]
    optimizer = torch.optim.AdamW(weights, rate, betas=(0.9, 0.98), weight_decay=0.0)
    kind_weights = torch.ones(KINDS)
    kind_weights[0] = 0.2  # most tokens of most images are clean
    prepared = [processor.image_processor(images=[row["images"][-1]], return_tensors="pt") for row in rows]
    image_kinds = torch.tensor([_kind(row) for row in rows])
    image_cells = torch.tensor([CELLS.index(row["location"]) if row["anomalous"] else NO_CELL for row in rows])
    permutation = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    model.train()
    start, log = time.perf_counter(), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20) * max(0.05, 1 - step / steps)
        picked = permutation[torch.arange(step * batch, (step + 1) * batch) % len(rows)]
        keys = [key for key in prepared[0] if key != "batch_num_images"]
        seen = model.get_image_features(**{key: torch.cat([prepared[i][key] for i in picked]) for key in keys})
        views = [normalize(view, dim=1) * width**0.5 for view in getattr(seen, "pooler_output", seen)]
        image_scores = image_head(torch.stack([view.mean(0) for view in views]))
        if model.config.model_type in ("llava_onevision", "llava_next"):
            views = [view[: (side.image_size // side.patch_size) ** 2] for view in views]  # the base view comes first
        k = int(len(views[0]) ** 0.5)
        token_scores = token_head(torch.cat([view[: k * k] for view in views]))
        token_kinds = torch.tensor([kind for i in picked.tolist() for kind in _token_kinds(rows[i], k)])
        loss = (
            cross_entropy(token_scores[:, :KINDS], token_kinds, weight=kind_weights)
            + cross_entropy(token_scores[:, KINDS:], torch.tensor(_token_cells(k) * batch))
            + cross_entropy(image_scores[:, :KINDS], image_kinds[picked])
            + cross_entropy(image_scores[:, KINDS:], image_cells[picked], ignore_index=NO_CELL)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(eyes, 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            kinds, cells = image_scores[:, :KINDS].argmax(1), image_scores[:, KINDS:].argmax(1)
            defect = image_kinds[picked] > 0
            log.append(
                {
                    "step": step + 1,
                    "loss": loss.item(),
                    "kind": (kinds == image_kinds[picked]).float().mean().item(),
                    "cell": (cells == image_cells[picked])[defect].float().mean().item(),
                    "seconds": time.perf_counter() - start,
                }
            )
    return log
