"""What the embedded teacher measures: frozen values that carry numbers and no words.

Lightness and colour are CIE L*a*b* (L* 0 to 100, a* and b* about -100 to 100, D65). Angles are degrees in [0, 180),
counted from the image's width axis. A field is None where the image does not support the measurement; prose then says
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Lab = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """One photograph as a whole.

    Args:
        colors: named colours with their share of the frame, largest first; shares sum to 1.
        lightness: mean L*.
        spread: L* between the 5th and 95th percentile.
        grain: mean lightness gradient on the flat half of the frame, L* per pixel at 256 pixels' long side.
        edges: share of pixels on a strong edge.
        direction: dominant direction of the edges, None where there is none.
        mirror: correlation of the frame with itself mirrored across its upright axis and across its level axis.
        details: number of small isolated spots of contrast.
        details_cell: largest share of the details in one ninth of the frame.
        falloff: difference between the lightest and the darkest ninth of the frame, L*.
        part_share: share of the frame that the part fills, None where no plain background is found.
        background: name of the plain background's colour, None likewise.
        part_colors: the part's named colours with their share of the part, largest first; empty likewise.
        silhouette: the part's area over that of its convex hull, holes filled; None likewise.
    """

    colors: tuple[tuple[str, float], ...]
    lightness: float
    spread: float
    grain: float
    edges: float
    direction: float | None
    mirror: tuple[float, float]
    details: int
    details_cell: float
    falloff: float
    part_share: float | None
    background: str | None
    part_colors: tuple[tuple[str, float], ...]
    silhouette: float | None


@dataclass(frozen=True, slots=True)
class Likeness:
    """The query against the normal reference, both as a whole.

    Args:
        shift: mean L*a*b* of the query minus the reference's.
        overlap: intersection of the two lightness histograms once the mean shift is taken out, 0 to 1.
        grain: the query's grain over the reference's.
        details: number of the reference's small isolated spots of contrast.
        part: the part's share of the query over its share of the reference, None without a plain background.
        aligned: the two frames coincide after at most a small translation, so places can be compared.
        agreement: correlation of the two frames after that translation, -1 to 1.
    """

    shift: Lab
    overlap: float
    grain: float
    details: int
    part: float | None
    aligned: bool
    agreement: float


@dataclass(frozen=True, slots=True)
class Defect:
    """The defect against its surroundings: its pixels against a ring around them.

    Where one tone rules at least three fifths of the ring, lightness and colour are compared with that surface alone,
    so that print, a seam or a neighbouring feature does not tint it.

    Args:
        pieces: number of separate pieces, crumbs under a fiftieth of the largest left out.
        area: share of the image, 0 to 1.
        aspect: length over width of the largest piece, measured along its middle line; at least 1.
        angle: direction of the largest piece's long axis.
        bow: largest deviation of the middle line from a straight one, as a share of its length.
        roundness: 4 pi area / perimeter^2 of the largest piece, 1 for a disc.
        solidity: area over convex hull's area of the largest piece.
        parallel: two or more elongated pieces run in the same direction within 12 degrees.
        length: the largest piece's length as a share of the frame's longer side.
        inside: mean L*a*b* of the defect.
        around: median L*a*b* of the ring.
        noise: standard deviation of L* in the ring.
        tint_noise: root mean square a*b* distance of the ring's pixels to `around`.
        rank: share of the ring that is darker than the defect's mean.
        brightness: mean grey value of the defect over that of the ring.
        dark_share: share of the defect clearly darker than the ring.
        light_share: share of the defect clearly lighter than the ring.
        roughness: gradient energy inside over that of the ring, None for a defect too small to have texture.
        streaks: direction of a directional texture inside, None where there is none.
        edge: how fast tone changes across the border, share of the contrast per pixel; None without contrast.
        at_silhouette: it reaches the part's silhouette; None where no plain background is found.
        shows_background: its tone is that of the background and not that of the part.
        at_frame: it reaches the border of the photograph.
        reference_step: the same place of an aligned reference: defect-shaped area minus its ring, L*; else None.
    """

    pieces: int
    area: float
    aspect: float
    angle: float
    bow: float
    roundness: float
    solidity: float
    parallel: bool
    length: float
    inside: Lab
    around: Lab
    noise: float
    tint_noise: float
    rank: float
    brightness: float
    dark_share: float
    light_share: float
    roughness: float | None
    streaks: float | None
    edge: float | None
    at_silhouette: bool | None
    shows_background: bool
    at_frame: bool
    reference_step: float | None

    @property
    def tone_clear(self) -> bool:
        """Its lightness stands out from the surroundings; False where they are uneven and its own lies within their "
        "range.
        """
        return self.noise < 8 or self.rank <= 0.1 or self.rank >= 0.9

    @property
    def step(self) -> float:
        """Lightness of the defect minus that of its surroundings, L*; 0 where that says nothing."""
        return self.inside[0] - self.around[0] if self.tone_clear else 0.0

    @property
    def tint(self) -> float:
        """Distance in a*b* between the defect and its surroundings; 0 where their own colours vary as much."""
        distance = math.dist(self.inside[1:], self.around[1:])
        return distance if distance >= 1.5 * self.tint_noise else 0.0

    @property
    def contrast(self) -> float:
        """Colour difference to the surroundings (CIE76)."""
        return math.hypot(self.step, self.tint)

    @property
    def elongated(self) -> bool:
        """At least three times as long as wide."""
        return self.aspect >= 3

    @property
    def straight(self) -> bool:
        """An elongated piece whose middle line bows by less than 4 % of its length."""
        return self.elongated and self.bow < 0.04

    @property
    def round(self) -> bool:
        """A compact piece close to a disc; digital perimeters make 0.72 the practical border."""
        return self.aspect < 1.6 and self.roundness >= 0.72

    @property
    def ragged(self) -> bool:
        """A compact piece with indentations or a long border."""
        return not self.elongated and (self.solidity < 0.85 or self.roundness < 0.5)

    @property
    def mixed(self) -> bool:
        """Both clearly lighter and clearly darker pixels in number."""
        return self.dark_share >= 0.15 and self.light_share >= 0.15

    @property
    def sharp(self) -> bool | None:
        """True for a crisp border, False for one that fades, None between the two or without contrast."""
        if self.edge is None or 0.1 <= self.edge < 0.2:
            return None
        return self.edge >= 0.2


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was measured for one case; `defect` is None for a normal sample."""

    scene: Scene
    likeness: Likeness
    defect: Defect | None
