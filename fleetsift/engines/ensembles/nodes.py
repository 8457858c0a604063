"""Walks over an ONNX graph and the graphs inside it: what an output needs, what there is, what it is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx


def needed_nodes(graph: onnx.GraphProto, outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the named values depend on, in the graph's own order."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):  # a graph is sorted: whoever reads a value comes after whoever writes it
        if needed.intersection(node.output):
            needed.update(reads(node))
            kept.append(node)
    return kept[::-1]


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names a node reads, those its branches and loop bodies take from outside among them."""
    yield from node.input
    for graph in _graphs(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from reads(inner)


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph: initializers and attributes of nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            yield from attribute.tensors
        for inner in _graphs(node):
            yield from tensors(inner)


def rename(graph: onnx.GraphProto, prefix: str, outside: Mapping[str, str]) -> None:
    """Put a prefix before every name in a graph, in place; values in `outside` get the name given there instead."""

    def new(value: str) -> str:
        return value and outside.get(value, prefix + value)  # an empty name is an input left out

    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for value in values:
        value.name = new(value.name)
    for node in graph.node:
        node.name = node.name and prefix + node.name  # of unnamed nodes there may be many, of a name only one
        node.input[:] = [new(value) for value in node.input]
        node.output[:] = [new(value) for value in node.output]
        for inner in _graphs(node):
            rename(inner, prefix, outside)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
