"""The five real networks and frames of shared/data, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image


def has_camvid(data: Path | None) -> bool:
    """Whether the networks are there; they and the frames stay where they are."""
    return data is not None and (data / "models" / "models.json").is_file()


def camvid_networks(data: Path) -> list[Path]:
    """The files of the five networks, in order."""
    return [data / "models" / member["file"] for member in _facts(data)["members"]]


def write_camvid(folder: Path, data: Path, resolution: str) -> Path:
    """The ensemble file of the five networks."""
    camvid = _facts(data)
    spec = {
        "name": "camvid",
        "classes": camvid["classes"],
        "members": [{"file": str(data / "models" / m["file"]), "sha256": m["sha256"]} for m in camvid["members"]],
        "input": {"height": 360, "width": 480},
        "output": {"full": "logits", "native": "native", "embedding": "embedding"},
        "resolution": resolution,
    }
    path = folder / f"camvid_{resolution}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def _facts(data: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((data / "models" / "models.json").read_text())["camvid"]
    return facts


def read_frames(data: Path, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """So many real frames from all over the validation set, (N, 360, 480, 3)."""
    files = sorted((data / "camvid" / "val").glob("*.png"))
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files[:: len(files) // count][:count]])
