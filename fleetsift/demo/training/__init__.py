"""Trains the demo's ensemble on drawn streets and writes it as ONNX: `python -m fleetsift.demo.training`.

Most of what the networks learn from is dry and by day, as most of what a real fleet records. At night, in the rain
and before bicycles they know less and therefore agree less, which is what the demo is there to find.
"""

from __future__ import annotations

from importlib.util import find_spec

from fleetsift.errors import MissingExtra

if find_spec("torch") is None:
    raise MissingExtra("demo training", "torch", "torch")
