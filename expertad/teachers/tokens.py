"""How many tokens a request will use: images by the vendor's formula, text by what earlier replies used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from expertad.teachers.base import Request, Usage


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How a model sees an image: sides rounded to `patch` pixels, area kept within [min_pixels, max_pixels].

    The defaults are Qwen-VL-Max's and its successors'; Qwen2.5-VL uses a patch of 28. A high-resolution switch is not
    used: it charges a fixed 16,384 tokens an image.
    """

    patch: int = 32
    min_pixels: int = 4_096
    max_pixels: int = 2_621_440

    def useful_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, multiples of `patch`, to which the model itself would bring an image."""
        across, down = max(1, round(width / self.patch)), max(1, round(height / self.patch))
        if across * down * self.patch**2 > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            across = max(1, math.floor(width / shrink / self.patch))
            down = max(1, math.floor(height / shrink / self.patch))
        elif across * down * self.patch**2 < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            across, down = math.ceil(width * grow / self.patch), math.ceil(height * grow / self.patch)
        return across * self.patch, down * self.patch

    def tokens(self, width: int, height: int) -> int:
        """Tokens of one image: h * w / patch**2 + 2 after rounding.

        Example: 1024 x 1024 pixels are 32 * 32 + 2 = 1,026 tokens.
        """
        across, down = self.useful_size(width, height)
        return across * down // self.patch**2 + 2


@dataclass(slots=True)
class _Seen:
    """What replies to one prompt used, as running means."""

    count: int = 0
    tokens_per_character: float = 0.28
    output: float = 320.0
    output_most: float = 700.0


class TokenMeter:
    """Estimates a request's usage and learns from what was really used, prompt by prompt."""

    def __init__(self, rules: ImageRules) -> None:
        self.rules = rules
        self._seen: dict[str, _Seen] = {}
        self._image_ratio = 1.0

    def image_tokens(self, request: Request) -> int:
        """Tokens of the request's pictures by the formula, corrected by what the server was seen to count."""
        return round(self._image_ratio * self._by_formula(request))

    def _by_formula(self, request: Request) -> int:
        return sum(self.rules.tokens(picture.file.width, picture.file.height) for picture in request.pictures)

    def estimate(self, request: Request) -> Usage:
        """The usage expected of a request."""
        seen = self._seen.get(request.prompt_version, _Seen())
        images = self.image_tokens(request)
        text = (len(request.system) + len(request.text)) * seen.tokens_per_character
        return Usage(round(images + text), round(seen.output), images)

    def at_most(self, request: Request) -> Usage:
        """An amount the request is very unlikely to exceed: what a budget sets aside."""
        seen = self._seen.get(request.prompt_version, _Seen())
        expected = self.estimate(request)
        return Usage(round(expected.input_tokens * 1.15), round(seen.output_most * 1.25), expected.image_tokens)

    def learn(self, request: Request, usage: Usage) -> None:
        """Take in what a request really used."""
        seen = self._seen.setdefault(request.prompt_version, _Seen(output_most=0.0))
        seen.count += 1
        formula = self._by_formula(request)
        if usage.image_tokens and formula:
            self._image_ratio += 0.1 * (usage.image_tokens / formula - self._image_ratio)
        weight = max(1 / seen.count, 0.05)
        characters = len(request.system) + len(request.text)
        text = max(0, usage.input_tokens - (usage.image_tokens or self.image_tokens(request)))
        seen.tokens_per_character += weight * (text / max(1, characters) - seen.tokens_per_character)
        seen.output += weight * (usage.output_tokens - seen.output)
        seen.output_most = max(seen.output_most, float(usage.output_tokens))
