"""What an ensemble file says must hold together: its members with its task and classes, its boxes with its detectors.

Each check raises ValueError in the words of the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from fleetsift.schemas.boxes import BoxSpec
from fleetsift.schemas.members import ChannelSpec, MemberSpec, OutputSpec, activations_of
from fleetsift.schemas.scores import Task, has_independent_classes


def check_output(m: int, output: OutputSpec, task: Task) -> None:
    """What member m answers with is an answer to the task."""
    allowed = activations_of(task)
    if output.activation is not UNSET and output.activation not in allowed:
        raise ValueError(
            f"members[{m}].output.activation: expected {' or '.join(allowed)} for {task}, got {output.activation}"
        )
    if output.channels is not UNSET and not has_independent_classes(task):
        raise ValueError(f"members[{m}].output.channels: expected none for {task}, got some")


def check_classes(m: int, member: MemberSpec, classes: tuple[str, ...]) -> None:
    """Member m answers about every class of the ensemble, and what else it answers about counts for one or for none."""
    own = classes if member.classes is UNSET else member.classes
    counts_as = {} if member.counts_as is UNSET else member.counts_as
    for name in own:
        if name not in classes and name not in counts_as:
            raise ValueError(
                f"members[{m}].classes: expected classes of the ensemble, got {name}; say in counts_as for which it "
                "counts, or null"
            )
    for name, wanted in counts_as.items():
        if name not in own or wanted not in {None, *classes}:
            raise ValueError(
                f"members[{m}].counts_as: expected the ensemble's class for one of the member's, got {name}: {wanted}"
            )
    known = {member.counts_for(name) for name in own}
    for wanted in classes:
        if wanted not in known:
            raise ValueError(
                f"members[{m}].classes: expected every class of the ensemble, got none for {wanted}; a member that "
                "does not know it has no probability of it to average"
            )


def check_views(views: tuple[str, ...]) -> None:
    """The frame as it is comes first, and its mirror image once."""
    if views not in {("identity",), ("identity", "hflip")}:
        raise ValueError(f"views: expected identity, or identity and hflip, got {', '.join(views or ['none'])}")


def check_boxes(boxes: BoxSpec, task: Task, channels: Sequence[ChannelSpec]) -> None:
    """Boxes are those of a detector that says where they are, decoded by what their decoding needs.

    channels: of every member.
    """
    if boxes.member >= len(channels):
        raise ValueError(f"boxes.member: expected 0 to {len(channels) - 1}, got {boxes.member}")
    if not has_independent_classes(task) or channels[boxes.member].boxes is None:
        raise ValueError(
            "boxes.member: expected a detector of task detection_heatmap whose output.channels.boxes says where its "
            f"boxes are, got member {boxes.member} of task {task}"
        )
    if (boxes.decoding == "yolov3") != all(side > 0 for side in boxes.anchor):
        raise ValueError(f"boxes.anchor: expected width and height for yolov3 only, got {boxes.anchor}")
