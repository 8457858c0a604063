"""An ensemble whose networks answer for every pixel of their input, whatever size it is scored at: for heat maps."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from msgspec import UNSET

from fleetsift.engines.ensembles.ensemble import (
    Ensemble,
    checked,
    gives_probabilities,
    input_name,
    logits_name,
)
from fleetsift.engines.ensembles.sizes import value_shapes
from fleetsift.schemas.members import MemberSpec


def at_full_size(ensemble: Ensemble) -> Ensemble:
    """The same networks at the size of the frame, without their boxes; a classifier has no other size.

    A network that enlarges its logits itself does so; of one that ends at its own stride, `graphs.fuse` enlarges the
    logits. Raises EnsembleError where a network does not answer with what is named.
    """
    spec = ensemble.spec
    if spec.resolution == "full" or not spec.grid:
        return ensemble
    members = tuple(_answering_whole(ensemble, m) for m in range(len(spec.members)))
    whole = msgspec.structs.replace(spec, members=members, boxes=UNSET, resolution="full")
    return checked(replace(ensemble, spec=whole))


def _answering_whole(ensemble: Ensemble, m: int) -> MemberSpec:
    """Member m, its native answer in the place of a full one that is none."""
    member, network = ensemble.spec.members[m], ensemble.networks[m]
    output, kind = ensemble.spec.output_of(member), ensemble.spec.input_of(member)
    shapes = value_shapes(network, input_name(network), kind)
    written = {name for node in network.graph.node for name in node.output}
    known = shapes.get(output.full, ())[2:]
    if output.full in written and known in {(), (kind.height, kind.width)}:
        return member
    activation = "probabilities" if gives_probabilities(ensemble, m) else UNSET
    native = msgspec.structs.replace(output, full=logits_name(ensemble, m), activation=activation)
    return msgspec.structs.replace(member, output=native)
