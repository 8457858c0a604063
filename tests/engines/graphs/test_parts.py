"""Members answer all at once where that is little, and else in turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetsift.engines.ensembles.ensemble import read_ensemble
from fleetsift.engines.graphs.fuse import fuse
from fleetsift.engines.graphs.parts import outputs_in_turn, part_of
from tests.engines.drawn_networks import Drawn, write_ensemble

FOUR_MEMBERS_BYTES = 4 * 3 * 16 * 24 * 4


def turns(folder: Path, members: list[Drawn], most_bytes: float, **changes: Any) -> list[list[str]]:
    ensemble = read_ensemble(write_ensemble(folder, members, **{"resolution": "full", **changes}))
    return outputs_in_turn(ensemble.spec, fuse(ensemble), most_bytes)


def drawn(count: int) -> list[Drawn]:
    return [Drawn(m) for m in range(count)]


def test_much_is_answered_in_turns_and_little_at_once(tmp_path: Path) -> None:
    assert turns(tmp_path, drawn(4), FOUR_MEMBERS_BYTES - 1) == [
        ["logits_0", "embedding"],
        ["logits_1"],
        ["logits_2"],
        ["logits_3"],
    ]
    assert len(turns(tmp_path, drawn(4), FOUR_MEMBERS_BYTES)) == 1


def test_views_that_are_compared_come_together_and_the_embedding_with_its_member(tmp_path: Path) -> None:
    found = turns(tmp_path, drawn(3), 0, views=["identity", "hflip"], embedding_member=2)
    assert found == [["logits_0", "logits_1"], ["logits_2", "logits_3"], ["logits_4", "logits_5", "embedding"]]


@pytest.mark.parametrize(
    ("members", "changes"),
    [(3, {}), (5, {"task": "detection_heatmap"})],
    ids=["no more than the sums of all", "independent classes"],
)
def test_turns_that_would_not_save_memory_are_not_taken(tmp_path: Path, members: int, changes: dict[str, Any]) -> None:
    assert len(turns(tmp_path, drawn(members), 0, **changes)) == 1


def test_a_part_holds_what_its_outputs_need_and_no_more(tmp_path: Path) -> None:
    fused = fuse(read_ensemble(write_ensemble(tmp_path, drawn(4))))
    part = part_of(fused, ["logits_2"])
    assert [output.name for output in part.graph.output] == ["logits_2"]
    assert {w.name.split("/")[0] for w in part.graph.initializer if w.name.startswith("member")} == {"member_2"}
    assert len(part.graph.node) < len(fused.graph.node) / 2
