"""Score every frame a fleet sends, and sift out the few worth labelling.

These names are the library; each verb of the command line is one call of it. They are loaded when they are first used,
so that importing fleetsift loads neither Ray nor a runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetsift.advice.advise import advise as advise
    from fleetsift.configuration import read_fleet as read_fleet
    from fleetsift.engines.engine import Engine as Engine
    from fleetsift.engines.modules.torch import TorchEnsemble as TorchEnsemble
    from fleetsift.engines.modules.torch import open_torch_engine as open_torch_engine
    from fleetsift.engines.open import open_engine as open_engine
    from fleetsift.errors import FleetsiftError as FleetsiftError
    from fleetsift.inspection.check import check_ensemble as check_ensemble
    from fleetsift.inspection.heatmaps import write_heatmaps as write_heatmaps
    from fleetsift.report.verb import report_batch as report_batch
    from fleetsift.schemas.ensemble import EnsembleSpec as EnsembleSpec
    from fleetsift.schemas.fleet import FleetSpec as FleetSpec
    from fleetsift.schemas.frames import FrameBatch as FrameBatch
    from fleetsift.schemas.members import InputSpec as InputSpec
    from fleetsift.schemas.messages import FrameMessage as FrameMessage
    from fleetsift.schemas.scores import FrameScores as FrameScores
    from fleetsift.schemas.selection.receipts import Selection as Selection
    from fleetsift.schemas.selection.specification import SelectionSpec as SelectionSpec
    from fleetsift.selectors.batches.batch import read_batch as read_batch
    from fleetsift.selectors.batches.batch import write_batch as write_batch
    from fleetsift.selectors.explaining.why import why_in_store as why_in_store
    from fleetsift.selectors.online.follow import follow_store as follow_store
    from fleetsift.selectors.select import select_batch as select_batch
    from fleetsift.selectors.strategies import apply_strategy as apply_strategy
    from fleetsift.store.views import ScoreStore as ScoreStore
    from fleetsift.streaming.fleet.supervisor import run_fleet as run_fleet
    from fleetsift.streaming.kafka.publish import publish as publish
    from fleetsift.streaming.manifests.messages import read_references as read_references

_HOMES = {
    "Engine": "engines.engine",
    "EnsembleSpec": "schemas.ensemble",
    "FleetSpec": "schemas.fleet",
    "FleetsiftError": "errors",
    "FrameBatch": "schemas.frames",
    "FrameMessage": "schemas.messages",
    "FrameScores": "schemas.scores",
    "InputSpec": "schemas.members",
    "ScoreStore": "store.views",
    "Selection": "schemas.selection.receipts",
    "SelectionSpec": "schemas.selection.specification",
    "TorchEnsemble": "engines.modules.torch",
    "advise": "advice.advise",
    "apply_strategy": "selectors.strategies",
    "check_ensemble": "inspection.check",
    "follow_store": "selectors.online.follow",
    "open_engine": "engines.open",
    "open_torch_engine": "engines.modules.torch",
    "publish": "streaming.kafka.publish",
    "read_batch": "selectors.batches.batch",
    "read_fleet": "configuration",
    "read_references": "streaming.manifests.messages",
    "report_batch": "report.verb",
    "run_fleet": "streaming.fleet.supervisor",
    "select_batch": "selectors.select",
    "why_in_store": "selectors.explaining.why",
    "write_batch": "selectors.batches.batch",
    "write_heatmaps": "inspection.heatmaps",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names above, once


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"fleetsift has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"fleetsift.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
