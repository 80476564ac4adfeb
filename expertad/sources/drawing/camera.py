"""Five cameras around a part, as Real-IAD has them: C1 above, C2 to C5 from four sides, each with its own light.

Part coordinates: pixels of a size x size plan seen from above, x right, y down, z up (pixels too). Image coordinates:
pixels of the photograph. The camera is a weak perspective at `FOCAL` sizes from the part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

FOCAL = 3.6


@dataclass(frozen=True, slots=True)
class Camera:
    """One station: where the camera stands and where its lamp hangs.

    Args:
        name: "C1" to "C5".
        azimuth: degrees the part is turned under the camera.
        tilt: degrees from straight above.
        lamp: position of the lamp in the turned frame, in sizes from the part's center (x right, y down, z up).
        glow: brightness of the station's ambient light.
    """

    name: str
    azimuth: float
    tilt: float
    lamp: tuple[float, float, float]
    glow: float


CAMERAS: tuple[Camera, ...] = (
    Camera("C1", 0.0, 0.0, (-0.62, -0.72, 1.15), 0.44),
    Camera("C2", 0.0, 34.0, (-0.75, -0.80, 1.10), 0.42),
    Camera("C3", 90.0, 34.0, (0.80, -0.60, 1.15), 0.44),
    Camera("C4", 180.0, 34.0, (-0.55, -1.00, 1.05), 0.40),
    Camera("C5", 270.0, 34.0, (0.72, -0.85, 1.20), 0.45),
)


@dataclass(frozen=True, slots=True)
class Pose:
    """How one part lies in one photograph: small shifts (in sizes), a small turn (degrees) and zoom."""

    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0
    zoom: float = 1.0

    def matrix(self, size: int) -> Matrix:
        """The 3 x 3 similarity about the image's center, image pixels to image pixels."""
        angle = np.deg2rad(self.turn)
        c, s = self.zoom * np.cos(angle), self.zoom * np.sin(angle)
        middle = size / 2
        shift = (middle + self.dx * size - c * middle + s * middle, middle + self.dy * size - s * middle - c * middle)
        return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1]], np.float64)


def homography(camera: Camera, size: int, z: float, zoom: float) -> Matrix:
    """The 3 x 3 map from plan pixels at height `z` to image pixels."""
    az, tilt = np.deg2rad(camera.azimuth), np.deg2rad(camera.tilt)
    middle = size / 2
    turned_x = np.array([np.cos(az), -np.sin(az), 0.0])
    turned_y = np.array([np.sin(az), np.cos(az), 0.0])
    for row in (turned_x, turned_y):
        row[2] = -(row[0] + row[1]) * middle
    one = np.array([0.0, 0.0, 1.0])
    focal = FOCAL * size
    up = turned_y * np.cos(tilt) - z * np.sin(tilt) * one
    # A tall part leans upwards in a side view: the shift keeps it in the middle of the frame.
    toward = turned_y * np.sin(tilt) + z * np.cos(tilt) * one
    w = one - toward / focal
    return np.stack([zoom * turned_x + middle * w, zoom * up + middle * w, w])


def into_plan(camera: Camera, vector: tuple[float, float, float]) -> tuple[float, float, float]:
    """A direction or place in the turned frame, as seen in the plan's own axes."""
    az = np.deg2rad(camera.azimuth)
    x, y, z = vector
    return (float(np.cos(az) * x + np.sin(az) * y), float(-np.sin(az) * x + np.cos(az) * y), z)


def toward_camera(camera: Camera) -> tuple[float, float, float]:
    """Unit vector from the part to the camera, in the plan's axes."""
    tilt = np.deg2rad(camera.tilt)
    return into_plan(camera, (0.0, float(np.sin(tilt)), float(np.cos(tilt))))


def lamp_place(camera: Camera, size: int) -> tuple[float, float, float]:
    """The lamp in plan pixels, relative to the plan's center."""
    x, y, z = into_plan(camera, camera.lamp)
    return (x * size, y * size, z * size)


def project(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    """One point through a homography."""
    u, v, w = matrix @ np.array([x, y, 1.0])
    return float(u / w), float(v / w)
