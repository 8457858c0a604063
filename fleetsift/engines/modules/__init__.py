"""Ensembles of torch modules, for networks that are still being made."""

from __future__ import annotations

from importlib.util import find_spec

from fleetsift.errors import MissingExtra

if find_spec("torch") is None:
    raise MissingExtra("engine torch", "torch", "torch")
