"""KubeRay's own schemas of RayCluster and RayJob, of the operator's module in Go's registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fetched import PATIENCE_S

OPERATOR = "github.com/ray-project/kuberay/ray-operator@v1.6.2"


@cache
def kuberay_schema(kind: str) -> Any:
    """The schema of a kind of ray.io/v1, closed as a server closes it that validates strictly; skips without Go."""
    resource = yaml.load(
        (_operator() / "config" / "crd" / "bases" / f"ray.io_{kind.lower()}s.yaml").read_text(encoding="utf-8"),
        yaml.CSafeLoader,
    )
    (version,) = (version for version in resource["spec"]["versions"] if version["name"] == "v1")
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}}
    return _closed(schema)


@cache
def _operator() -> Path:
    if shutil.which("go") is None:
        pytest.skip("KubeRay's schemas cannot be had: go is not installed")
    command = ["go", "mod", "download", "-json", OPERATOR]
    try:
        fetched = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd="/")
    except subprocess.TimeoutExpired as error:
        pytest.skip(f"KubeRay's schemas cannot be had: {error}")
    answer = json.loads(fetched.stdout or "{}")
    if "Dir" not in answer:
        pytest.skip(f"KubeRay's schemas cannot be had: {answer.get('Error') or fetched.stderr}")
    return Path(answer["Dir"])


def _closed(schema: Any) -> Any:
    """Refuse fields that a schema does not name, wherever it names some."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if isinstance(closed.get("properties"), dict) and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed
