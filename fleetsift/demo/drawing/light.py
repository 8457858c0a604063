"""How a time of day and a weather look: the sky's colours, the light on things, how far one sees."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from fleetsift.demo.world import Colour, TimeOfDay, Weather


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene; colours are final, RGB 0..255."""

    zenith: Colour
    horizon: Colour  # also the colour that far things fade into
    cloud: Colour
    ambient: tuple[float, float, float]  # what daylight colours are multiplied by
    visibility_m: float  # the distance at which 63 % of a thing has faded
    lamps: float  # how much artificial light tells: 0 off, 1 night
    noise: float  # standard deviation of the sensor's noise, grey levels

    def shade(self, colour: Colour, distance_m: float) -> Colour:
        """The colour of a thing in this light, at this distance."""
        clear = exp(-distance_m / self.visibility_m)
        red, green, blue = (
            int(c * a * clear + h * (1 - clear)) for c, a, h in zip(colour, self.ambient, self.horizon, strict=True)
        )
        return red, green, blue


_CLEAR = {
    TimeOfDay.DAY: Light((74, 138, 214), (196, 221, 240), (248, 250, 252), (1.0, 1.0, 1.0), 260, 0.0, 2.0),
    TimeOfDay.DUSK: Light((60, 62, 118), (246, 158, 104), (226, 132, 120), (0.66, 0.52, 0.54), 220, 0.6, 3.5),
    TimeOfDay.NIGHT: Light((7, 9, 24), (34, 34, 58), (20, 21, 38), (0.24, 0.25, 0.36), 120, 1.0, 6.0),
}
_OVERCAST = {
    TimeOfDay.DAY: Light((150, 160, 172), (206, 210, 214), (176, 184, 192), (0.84, 0.86, 0.88), 180, 0.0, 2.5),
    TimeOfDay.DUSK: Light((66, 68, 92), (168, 134, 126), (98, 92, 108), (0.52, 0.46, 0.52), 150, 0.7, 4.0),
    TimeOfDay.NIGHT: Light((14, 15, 24), (42, 38, 46), (22, 22, 32), (0.21, 0.22, 0.30), 100, 1.0, 6.5),
}
_RAIN = {
    TimeOfDay.DAY: Light((118, 126, 136), (164, 170, 176), (136, 144, 152), (0.62, 0.65, 0.70), 70, 0.3, 3.5),
    TimeOfDay.DUSK: Light((52, 54, 74), (116, 102, 106), (74, 72, 86), (0.40, 0.37, 0.43), 65, 0.8, 5.0),
    TimeOfDay.NIGHT: Light((10, 11, 18), (36, 35, 44), (17, 17, 25), (0.19, 0.20, 0.27), 60, 1.0, 7.0),
}


def light_of(time_of_day: TimeOfDay, weather: Weather) -> Light:
    """The light of a time of day under a weather."""
    return {Weather.CLEAR: _CLEAR, Weather.OVERCAST: _OVERCAST, Weather.RAIN: _RAIN}[weather][time_of_day]


def toned(colour: Colour, factor: float) -> Colour:
    """A colour made darker or lighter."""
    red, green, blue = (min(int(c * factor), 255) for c in colour)
    return red, green, blue
