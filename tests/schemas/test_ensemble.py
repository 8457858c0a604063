"""An ensemble's id: it changes with everything that changes a number, and with nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleetsift.schemas.ensemble import EnsembleSpec

GIVEN: dict[str, Any] = {
    "name": "pinned",
    "classes": ["road", "car"],
    "members": [
        {"file": "a.onnx", "sha256": "0" * 64},
        {"file": "b.onnx", "sha256": "1" * 64, "input": {"height": 8, "width": 8}},
    ],
    "input": {"height": 16, "width": 24},
    "output": {"native": "native"},
}


def id_of(**changes: Any) -> str:
    return msgspec.convert(GIVEN | changes, EnsembleSpec).ensemble_id


def test_rows_that_were_written_before_are_still_of_the_same_ensemble() -> None:
    assert id_of() == "pinned-1696b45158ce"


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "detection_heatmap"},
        {"task": "classification"},
        {"classes": ["car", "road"]},
        {"output": {"native": "native", "activation": "probabilities"}},
        {"output": {"native": "native", "channels": {"classes": 1}}, "task": "detection_heatmap"},
        {"members": GIVEN["members"][:1]},
        {"members": [GIVEN["members"][0] | {"classes": ["car", "road"]}, GIVEN["members"][1]]},
        {"members": [GIVEN["members"][0], GIVEN["members"][1] | {"counts_as": {"car": "road", "road": "car"}}]},
        {"resolution": "native"},
        {"regions": {"rows": 2}},
        {"views": ["identity", "hflip"]},
        {"seed": 1},
        {"members": [GIVEN["members"][0] | {"passes": 2}, GIVEN["members"][1]]},
        {"members": [GIVEN["members"][0] | {"passes": 3}, GIVEN["members"][1]]},
        {
            "task": "detection_heatmap",
            "output": {"native": "native", "channels": {"boxes": 0, "classes": 4}},
            "boxes": {"decoding": "fastestdet"},
        },
        {"top_share": 0.02},
    ],
)
def test_what_changes_a_number_changes_the_id(changes: dict[str, Any]) -> None:
    assert id_of(**changes) != id_of()


@pytest.mark.parametrize("views", [[], ["hflip"], ["identity", "hflip", "hflip"], ["hflip", "identity"]])
def test_views_are_the_frame_and_perhaps_its_mirror_image(views: list[str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="views: expected identity, or identity and hflip, got"):
        id_of(views=views)


def test_where_a_file_lies_does_not() -> None:
    moved = [member | {"file": f"elsewhere/{member['file']}"} for member in GIVEN["members"]]
    assert id_of(members=moved) == id_of()


def id_with_boxes(**boxes: Any) -> str:
    output = {"native": "native", "channels": {"boxes": 0, "classes": 4}}
    return id_of(task="detection_heatmap", output=output, boxes={"decoding": "fastestdet"} | boxes)


def test_how_boxes_are_found_changes_the_id() -> None:
    ids = [id_with_boxes(**changes) for changes in ({}, {"threshold": 0.5}, {"overlap": 0.5}, {"member": 1})]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"member": 2}, "boxes.member: expected 0 to 1, got 2"),
        ({"decoding": "yolov3"}, "boxes.anchor: expected width and height for yolov3 only"),
        ({"anchor": [3, 4]}, "boxes.anchor: expected width and height for yolov3 only"),
    ],
)
def test_boxes_that_cannot_be_found(boxes: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        id_with_boxes(**boxes)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"objectness": 4, "classes": 4}, "objectness: expected channels before the classes' first, 4, got 4"),
        ({"boxes": 1, "classes": 4}, "boxes: expected channels before the classes' first, 4, got 1"),
    ],
)
def test_the_classes_channels_come_last(channels: dict[str, int], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        id_of(task="detection_heatmap", output={"native": "native", "channels": channels})


def test_the_order_of_a_mapping_does_not_change_the_id() -> None:
    ids = {
        id_of(members=[GIVEN["members"][0] | {"counts_as": dict(pairs)}])
        for pairs in ([("car", "road"), ("road", "car")], [("road", "car"), ("car", "road")])
    }
    assert len(ids) == 1


def test_boxes_are_a_detectors() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"boxes\.member: expected a detector of task"):
        id_of(boxes={"decoding": "fastestdet"})
