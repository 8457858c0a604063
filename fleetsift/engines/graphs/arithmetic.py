"""Arithmetic on the values of an ONNX graph: what is written as a formula becomes nodes.

    sheet = Sheet("reduction/")
    z = logits - logits.largest(1)      # two nodes: ReduceMax, Sub

Operators of opset 18, where every reduction takes its axes as an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

OPSET = 18


@dataclass(slots=True)
class Sheet:
    """The nodes and constants that have been written, in order; all their names start with a prefix."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """A value that is computed elsewhere in the graph."""
        return Value(self, name)

    def constant(self, values: ArrayLike, dtype: type[np.generic] = np.float32) -> Value:
        """A constant; equal ones are written once."""
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"{self.prefix}constant_{len(self.constants)}")
        return Value(self, self.constants[key].name)

    def node(self, operator: str, *operands: Operand, called: str | None = None, **attributes: Any) -> Value:
        """Write one node with one output; numbers among its operands become float32 constants."""
        name = called or f"{self.prefix}{operator}_{len(self.nodes)}"
        inputs = [o.name if isinstance(o, Value) else self.constant(o).name for o in operands]
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return Value(self, name)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph."""

    sheet: Sheet
    name: str

    def __add__(self, other: Operand) -> Value:
        return self.sheet.node("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.sheet.node("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.sheet.node("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.sheet.node("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.sheet.node("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self.sheet.node("Div", other, self)

    def __neg__(self) -> Value:
        return self.sheet.node("Neg", self)

    def __lt__(self, other: Operand) -> Value:
        return self.sheet.node("Less", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.sheet.node("Greater", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.sheet.node("GreaterOrEqual", self, other)

    def equals(self, other: Operand) -> Value:
        """Where two values are the same, as booleans."""
        return self.sheet.node("Equal", self, other)

    def larger(self, other: Operand) -> Value:
        """The larger of two values at every position."""
        return self.sheet.node("Max", self, other)

    def smaller(self, other: Operand) -> Value:
        """The smaller of two values at every position."""
        return self.sheet.node("Min", self, other)

    def absolute(self) -> Value:
        return self.sheet.node("Abs", self)

    def exp(self) -> Value:
        return self.sheet.node("Exp", self)

    def log(self) -> Value:
        return self.sheet.node("Log", self)

    def clip(self, least: float, most: float) -> Value:
        """Everything below `least` raised to it, everything above `most` lowered to it."""
        return self.sheet.node("Clip", self, least, most)

    def sum(self, *axes: int) -> Value:
        """Sums over axes, which stay with length 1."""
        return self._reduce("ReduceSum", axes)

    def mean(self, *axes: int) -> Value:
        """Means over axes, which stay with length 1."""
        return self._reduce("ReduceMean", axes)

    def largest(self, *axes: int) -> Value:
        """Maxima over axes, which stay with length 1."""
        return self._reduce("ReduceMax", axes)

    def smallest(self, *axes: int) -> Value:
        """Minima over axes, which stay with length 1."""
        return self._reduce("ReduceMin", axes)

    def highest(self, count: int) -> Value:
        """The `count` highest along the last axis, falling."""
        names = [f"{self.sheet.prefix}TopK_{len(self.sheet.nodes)}_{what}" for what in ("values", "indices")]
        wanted = self.sheet.constant([count], np.int64)
        self.sheet.nodes.append(helper.make_node("TopK", [self.name, wanted.name], names))
        return Value(self.sheet, names[0])

    def reshape(self, *shape: int) -> Value:
        """The same numbers in another shape; 0 keeps a length, -1 takes what is left."""
        return self.sheet.node("Reshape", self, self.sheet.constant(shape, np.int64))

    def transposed(self, *axes: int) -> Value:
        """The same numbers with their axes in another order."""
        return self.sheet.node("Transpose", self, perm=axes)

    def split(self, sizes: Sequence[int], axis: int) -> list[Value]:
        """Pieces of these sizes along an axis."""
        names = [f"{self.sheet.prefix}Split_{len(self.sheet.nodes)}_{i}" for i in range(len(sizes))]
        wanted = self.sheet.constant(sizes, np.int64)
        self.sheet.nodes.append(helper.make_node("Split", [self.name, wanted.name], names, axis=axis))
        return [Value(self.sheet, name) for name in names]

    def as_float(self) -> Value:
        """Integers or booleans as float32."""
        return self.sheet.node("Cast", self, to=onnx.TensorProto.FLOAT)

    def _reduce(self, operator: str, axes: Sequence[int]) -> Value:
        return self.sheet.node(operator, self, self.sheet.constant(axes, np.int64), keepdims=1)


Operand: TypeAlias = Value | float


def where(condition: Value, chosen: Operand, otherwise: Operand) -> Value:
    """`chosen` where the condition holds, `otherwise` elsewhere."""
    return condition.sheet.node("Where", condition, chosen, otherwise)


def concatenate(values: Sequence[Value], axis: int) -> Value:
    """Values one after the other along an axis."""
    return values[0] if len(values) == 1 else values[0].sheet.node("Concat", *values, axis=axis)


def stack(values: Sequence[Value], axis: int) -> Value:
    """Values of one shape along a new axis."""
    sheet = values[0].sheet
    return concatenate([sheet.node("Unsqueeze", v, sheet.constant([axis], np.int64)) for v in values], axis)
