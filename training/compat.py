"""What CPU builds of torch need to be told: torchvision's operators, and checkpoints of several processes.

The processors of Qwen2-VL, Qwen2.5-VL and LLaVA-OneVision need torchvision, of which they use pure-torch transforms
only. PyPI's torchvision is linked against CUDA: beside a CPU build of torch its compiled operators cannot be loaded
and the import stops at the first operator it wants to look up. Declaring the operators' names lets the import finish.
"""

from __future__ import annotations

import re
import sys
from functools import cache

import torch

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_declared: list[torch.library.Library] = []


def import_torchvision() -> None:
    """Imports torchvision, declaring operators its compiled part did not bring; call before importing transformers.

    Does nothing where torchvision loads by itself, or is not installed at all (transformers then says what it needs).
    """
    for _ in range(64):
        try:
            import torchvision  # noqa: F401
        except ModuleNotFoundError:
            return
        except RuntimeError as error:
            missing = _MISSING.search(str(error))
            if missing is None:
                raise
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            _declared.append(library)  # a library takes its operators with it when it is collected
        else:
            return
    raise RuntimeError(
        "torchvision still lacks operators after 64 declarations; install the build that fits this torch"
    )


@cache
def read_numbered_cpus() -> None:
    """Lets torch.load put tensors on "cpu:0".

    Several processes on CPUs call their device so when they resume, and reload their optimizer there, but torch.load
    knows only "cpu".
    """
    torch.serialization.register_package(
        50, lambda storage: None, lambda storage, place: storage if place.startswith("cpu:") else None
    )
