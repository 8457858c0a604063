"""The camera behind a vehicle's windscreen: from metres in the street to pixels of the frame."""

from __future__ import annotations

from dataclasses import dataclass

HEIGHT, WIDTH = 192, 320  # of a frame, pixels
FOCAL_PX = 190.0
HORIZON_PX = 88.0
MOUNT_M = 1.45  # the lens above the road
NEAR_M, FAR_M = 1.0, 150.0

Pixel = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a camera is, and how the street bends ahead of it."""

    s_m: float
    x_m: float
    bend_per_m: float = 0.0  # curvature; positive turns right
    heading_deg: float = 0.0  # moves sky and skyline
    pitch_px: float = 0.0  # the vehicle nods

    @property
    def horizon_px(self) -> float:
        """The row where the street ends."""
        return HORIZON_PX + self.pitch_px

    def distance_m(self, s_m: float) -> float:
        """How far ahead a place is, never nearer than the near plane."""
        return max(s_m - self.s_m, NEAR_M)

    def project(self, x_m: float, y_m: float, s_m: float) -> Pixel:
        """Where a point of the street falls on the frame: (column, row), from the top left corner.

        The street bends as a parabola, x = bend * z² / 2, which keeps every projection one line.
        """
        z = max(s_m - self.s_m, NEAR_M)
        scale = FOCAL_PX / z
        column = WIDTH / 2 + (x_m - self.x_m) * scale + FOCAL_PX * self.bend_per_m * z / 2
        return column, self.horizon_px + (MOUNT_M - y_m) * scale
