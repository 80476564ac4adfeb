"""Runs in LLaMA-Factory's environment: its own loader and collator over a published PA-SFT file, then its own training.

    python read_llamafactory.py ARGUMENTS.json OUT.json

ARGUMENTS.json is what a user would give `llamafactory-cli train`. OUT.json gets a list with an entry a row: the text
that is taught and the whole that is read, the images shown, and the image tokens of each image as the text has them and
as the vision tower does.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path

from training.compat import import_torchvision

import_torchvision()  # before llamafactory, which imports it

from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer  # noqa: E402
from llamafactory.extras.constants import IGNORE_INDEX  # noqa: E402
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402
from llamafactory.train.tuner import run_exp  # noqa: E402


def runs(ids: list[int], token: int) -> list[int]:
    """Lengths of the unbroken runs of a token."""
    return [len(list(run)) for same, run in groupby(ids) if same == token]


def main(arguments: Path, out: Path) -> None:
    given = json.loads(arguments.read_text())
    model, data, training, _, _ = get_train_args(dict(given))
    module = load_tokenizer(model)
    tokenizer, processor = module["tokenizer"], module["processor"]
    template = get_template_and_fix_tokenizer(tokenizer, data)
    rows = get_dataset(template, model, data, training, stage="sft", **module)["train_dataset"]
    collate = SFTDataCollatorWith4DAttentionMask(
        template=template, model=None, label_pad_token_id=IGNORE_INDEX, compute_dtype=model.compute_dtype, **module
    )
    image_token = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    seen = []
    for row in rows:
        batch = collate([dict(row)])
        grids = batch["image_grid_thw"].prod(-1) // processor.image_processor.merge_size**2
        taught = [token for token in row["labels"] if token != IGNORE_INDEX]
        seen.append(
            {
                "taught": tokenizer.decode(taught),
                "read": tokenizer.decode([token for token in row["input_ids"] if token != image_token]),
                "images": row["images"],
                "tokens_in_text": runs(row["input_ids"], image_token),
                "tokens_of_images": grids.tolist(),
                "tokens_in_batch": runs(batch["input_ids"][0].tolist(), image_token),
            }
        )
    out.write_text(json.dumps(seen))
    run_exp(dict(given))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
