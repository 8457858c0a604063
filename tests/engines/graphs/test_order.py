"""Each source stands right before the first node that needs it."""

from __future__ import annotations

from onnx import helper

from fleetsift.engines.graphs.order import just_in_time


def test_sources_come_when_they_are_due() -> None:
    sources = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["x"], ["b"]),
        helper.make_node("Neg", ["a"], ["a2"]),
        helper.make_node("Neg", ["b"], ["b2"]),
        helper.make_node("Neg", ["b"], ["unused"]),
    ]
    nodes = [helper.make_node("Exp", ["b2"], ["c"]), helper.make_node("Sum", ["a2", "c", "b"], ["d"])]
    written = [node.output[0] for node in just_in_time(sources, nodes)]
    assert written == ["b", "b2", "c", "a", "a2", "d", "unused"]
