"""Runs in ms-swift's environment: its loader and template over a published SC-GRPO file, then an epoch of its GRPO.

    python read_swift.py SC_GRPO.json MODEL OUT_FOLDER

OUT_FOLDER/rows.json gets an entry a row: what the loader made of it, and the image tokens of its prompt.
OUT_FOLDER/rewarded.json gets an entry a completion: what the reward function was given beside it.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from training.compat import import_torchvision

import_torchvision()  # before swift, which imports it

from swift.arguments import RLHFArguments  # noqa: E402
from swift.dataset import load_dataset  # noqa: E402
from swift.model import get_model_processor  # noqa: E402
from swift.pipelines import rlhf_main  # noqa: E402
from swift.rewards import ORM, orms  # noqa: E402
from swift.template import get_template  # noqa: E402
from swift.utils import remove_response  # noqa: E402

# ms-swift reads the image token's number from the tokenizer for LLaVA-1.5 and LLaVA-1.6 alone; the other backbones' are
# written in its code, and no tiny tokenizer has them. LLaVA-1.6 cannot batch rows of one image with rows of two there.
KIND = "llava1_5_hf"

rewarded: list[dict[str, Any]] = []


class Recording(ORM):
    """Pays by length and keeps what it was given."""

    def __call__(
        self,
        completions: list[str],
        solution: list[str],
        id: list[str],  # noqa: A002 - the column's name
        images: list[list[Any]],
        **kwargs: Any,
    ) -> list[float]:
        for one, truth, shown in zip(id, solution, images, strict=True):
            rewarded.append({"id": one, "solution": truth, "images": [image["path"] for image in shown]})
        return [float(len(text)) for text in completions]


orms["recording"] = Recording


def read(file: str, model: str) -> list[dict[str, Any]]:
    """Each row as its GRPO prepares it: other columns stay, for the rewards; what it takes for a response goes."""
    rows, _ = load_dataset(file, remove_unused_columns=False, strict=True)
    _, processor = get_model_processor(model, load_model=False, model_type=KIND)
    template = get_template(processor, template_type=KIND)
    template.set_mode("train")
    token = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    seen = []
    for row in rows:
        messages = [dict(message) for message in row["messages"]]
        remove_response(messages)
        encoded = template.encode({"messages": messages, "images": row["images"]})
        text = [one for one in encoded["input_ids"] if one != token]
        seen.append(
            {
                "id": row["id"],
                "solution": row["solution"],
                "images": [image["path"] for image in row["images"]],
                "messages": messages,
                "asked": processor.tokenizer.decode(text),
                "image_tokens": [len(list(run)) for same, run in groupby(encoded["input_ids"]) if same == token],
                "images_seen": len(encoded["pixel_values"]),
            }
        )
    return seen


def main(file: str, model: str, out: Path) -> None:
    (out / "rows.json").write_text(json.dumps(read(file, model)))
    rlhf_main(
        RLHFArguments(
            rlhf_type="grpo",
            model=model,
            model_type=KIND,
            template=KIND,
            dataset=[file],
            split_dataset_ratio=0.0,
            reward_funcs=["recording"],
            num_train_epochs=1,
            per_device_train_batch_size=20,
            gradient_accumulation_steps=1,
            num_generations=2,
            max_completion_length=8,
            use_vllm=False,
            tuner_type="full",
            torch_dtype="float32",
            use_cpu=True,
            logging_steps=1,
            report_to=[],
            output_dir=str(out / "run"),
        )
    )
    (out / "rewarded.json").write_text(json.dumps(rewarded))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
