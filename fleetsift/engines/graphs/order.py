"""The order in which a graph's nodes are written: runtimes that follow it hold few values at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from fleetsift.engines.ensembles.nodes import reads


def just_in_time(sources: Iterable[onnx.NodeProto], nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Both, in one order: each source right before the first of the nodes that needs it, unneeded ones at the end.

    So a member's network runs when its logits are due, not when those of all others are already there.
    """
    sources = list(sources)  # whoever is asked for twice is then the same object
    writers = {name: node for node in sources for name in node.output}
    ranks = {id(node): rank for rank, node in enumerate(sources)}
    written: set[int] = set()
    ordered: list[onnx.NodeProto] = []

    def write(due: Iterable[onnx.NodeProto]) -> None:
        for node in due:
            written.add(id(node))
            ordered.append(node)

    for node in nodes:
        missing = _missing(node, writers, written)
        write(sorted(missing, key=lambda source: ranks[id(source)]))
        write([node])
    write(node for node in sources if id(node) not in written)
    return ordered


def _missing(node: onnx.NodeProto, writers: dict[str, onnx.NodeProto], written: set[int]) -> Iterator[onnx.NodeProto]:
    """What a node needs, directly or not, of that which is not written yet; each once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        for name in reads(waiting.pop()):
            source = writers.get(name)
            if source is not None and id(source) not in written and id(source) not in seen:
                seen.add(id(source))
                waiting.append(source)
                yield source
