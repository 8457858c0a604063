"""Frames of a video a second on one core: in sequence, and with a seek for each.

python -m benchmarks.videos VIDEO [--size 270x480] [--frames 200]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from fleetsift.streaming.frames.videos import Videos, moment_of


def main() -> None:
    """Measure, and print one line a way of asking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--size", default="270x480", help="height x width of what a network takes")
    parser.add_argument("--frames", type=int, default=200)
    asked = parser.parse_args()
    height, width = (int(side) for side in asked.size.split("x"))
    numbers = list(range(asked.frames))
    shuffled = random.Random(0).sample(numbers, len(numbers))
    sequential_s = seconds(asked.video, numbers, (height, width))
    for name, taken_s in (
        ("in sequence", sequential_s),
        ("every tenth, in sequence", seconds(asked.video, numbers[::10], (height, width)) * 10),
        ("in random order, a seek each", seconds(asked.video, shuffled, (height, width))),
        ("in sequence, opened anew for each", seconds(asked.video, numbers, (height, width), anew=True)),
    ):
        speed = len(numbers) / taken_s
        sys.stdout.write(
            f"{name:36s} {speed:8.1f} frames/s {speed * sequential_s / len(numbers):8.3f} of in sequence\n"
        )


def seconds(video: Path, numbers: list[int], size: tuple[int, int], *, anew: bool = False) -> float:
    """CPU seconds that some frames take, one thread."""
    videos = Videos(sys.maxsize // 4)
    began = time.process_time()
    for number in numbers:
        moment = moment_of(f"{video}#frame={number}")
        if moment is None:
            raise ValueError(f"{video}: expected the name of a video")
        if anew:
            videos = Videos(sys.maxsize // 4)
        videos.read(moment, lambda: video.open("rb"), size)
    return time.process_time() - began


if __name__ == "__main__":
    main()
