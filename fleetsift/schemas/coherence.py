"""What an ensemble file says must hold together: its members with its task and classes, its boxes with its detectors.

Each check raises ValueError in the words of the field that is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from fleetsift.schemas.scores import has_independent_classes

if TYPE_CHECKING:
    from fleetsift.schemas.ensemble import EnsembleSpec


def check_members(spec: EnsembleSpec) -> None:
    """Every member answers the task, about every class of the ensemble."""
    for m, member in enumerate(spec.members):
        activation = spec.activation_of(member)
        if activation not in spec.activations:
            allowed = " or ".join(spec.activations)
            raise ValueError(f"members[{m}].output.activation: expected {allowed} for {spec.task}, got {activation}")
        if spec.output_of(member).channels is not UNSET and not has_independent_classes(spec.task):
            raise ValueError(f"members[{m}].output.channels: expected none for {spec.task}, got some")
        _check_classes(spec, m)


def check_views(spec: EnsembleSpec) -> None:
    """The frame as it is comes first, and its mirror image once."""
    if spec.views not in {UNSET, ("identity",), ("identity", "hflip")}:
        found = ", ".join(spec.views or ["none"])
        raise ValueError(f"views: expected identity, or identity and hflip, got {found}")


def check_boxes(spec: EnsembleSpec) -> None:
    """Boxes are those of a detector that says where they are, decoded by what their decoding needs."""
    boxes = spec.boxes
    if boxes is UNSET:
        return
    if boxes.member >= len(spec.members):
        raise ValueError(f"boxes.member: expected 0 to {len(spec.members) - 1}, got {boxes.member}")
    if not has_independent_classes(spec.task) or spec.box_channel(boxes.member) is None:
        raise ValueError(
            "boxes.member: expected a detector of task detection_heatmap whose output.channels.boxes says where its "
            f"boxes are, got member {boxes.member} of task {spec.task}"
        )
    if (boxes.decoding == "yolov3") != all(side > 0 for side in boxes.anchor):
        raise ValueError(f"boxes.anchor: expected width and height for yolov3 only, got {boxes.anchor}")


def _check_classes(spec: EnsembleSpec, m: int) -> None:
    member = spec.members[m]
    own = spec.classes_of(member)
    counts_as = {} if member.counts_as is UNSET else member.counts_as
    for name in own:
        if name not in spec.classes and name not in counts_as:
            raise ValueError(
                f"members[{m}].classes: expected classes of the ensemble, got {name}; say in counts_as for which it "
                "counts, or null"
            )
    for name, wanted in counts_as.items():
        if name not in own or wanted not in {None, *spec.classes}:
            raise ValueError(
                f"members[{m}].counts_as: expected the ensemble's class for one of the member's, got {name}: {wanted}"
            )
    for wanted, channels in zip(spec.classes, spec.channels_by_class(member), strict=True):
        if not channels:
            raise ValueError(
                f"members[{m}].classes: expected every class of the ensemble, got none for {wanted}; a member that "
                "does not know it has no probability of it to average"
            )
