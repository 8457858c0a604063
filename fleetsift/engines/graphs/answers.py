"""From what a network answers to logits (N, C, h, w), as steps of a graph: whatever the members are, the reduction
behind them sees logits of the ensemble's classes at one size, of softmax or, for independent classes, of sigmoid.

Probabilities become logits by logarithms, which loses nothing: softmax of log p is p again, where the p of the classes
sum to one; sigmoid of log p - log (1 - p) is p. Nothing that is a probability already is made one again: where
probabilities are below 0 or above 1, or those of classes that exclude each other do not sum to one, they become NaN and
the frame a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from fleetsift.engines.graphs.pieces import Piece
from fleetsift.schemas.ensemble import Answer, EnsembleSpec
from fleetsift.schemas.scores import has_independent_classes

Step: TypeAlias = Callable[[Piece, str, str], object]  # writes the nodes from one value to another

OPSET = 18  # of the nodes that steps write

_LAST = np.iinfo(np.int64).max
_SMALLEST = 1e-36  # stands for a probability of zero: p log p is zero to any precision
_FROM_ONE = 6e-8  # stands for 1 - p of a p that is one, or above it by rounding
_ROUNDING_OF_ONE = 1.5e-7  # two steps of float32
_SUM_TOLERANCE = 1e-3  # of probabilities computed in half precision


def answer_steps(
    spec: EnsembleSpec, answer: Answer, enlarged_to: tuple[int, int] | None, *, are_probabilities: bool
) -> list[Step]:
    """What is left to do with the tensor that a member answers with; nothing where it is such logits already.

    enlarged_to: (height, width) of the other members' answers, where this one's are smaller. are_probabilities: whether
    the tensor holds them, and not logits.
    """
    member = spec.members[answer.member]
    channels = spec.channels_of(member)
    steps: list[Step] = []
    if spec.task == "classification":
        steps.append(_one_position)
    if channels.objectness is not None:
        steps.append(_times_objectness(channels.objectness, channels.classes, are_probabilities=are_probabilities))
        are_probabilities = True
    elif channels.classes:
        steps.append(_channels_from(channels.classes))
    if enlarged_to:
        steps.append(_enlarged(enlarged_to))
    independent = has_independent_classes(spec.task)
    if are_probabilities:
        steps.append(_independent_logits if independent else _class_logits)
    sources = spec.channels_by_class(member)
    if sources != tuple((k,) for k in range(len(spec.classes_of(member)))):
        steps.append(_aligned(sources, _highest if independent else _summed))
    if answer.view == "hflip":
        steps.append(mirrored)
    return steps


def mirrored(piece: Piece, planes: str, result: str) -> None:
    """Planes (N, K, h, w) with their columns in reverse."""
    bounds = {"start": -1, "stop": np.iinfo(np.int64).min, "axis": 3, "step": -1}
    piece.add("Slice", [planes, *(piece.constant(f"{result}_{k}", [v], np.int64) for k, v in bounds.items())], result)


def unfit(spec: EnsembleSpec, m: int) -> str:
    """What is wrong with member m's answer where its logits are not finite."""
    if spec.activation_of(spec.members[m]) != "probabilities":
        return "expected finite logits, got NaN or infinity"
    sums = "" if has_independent_classes(spec.task) else " that sum to 1 over the classes"
    return f"expected probabilities from 0 to 1{sums}, got others"


def box_terms(piece: Piece, tensor: str, result: str, first: int) -> None:
    """The four terms of every cell's box, (N, 4, h, w)."""
    _slice(piece, tensor, result, first, first + 4)


def _one_position(piece: Piece, scores: str, result: str) -> None:
    """(N, C) as (N, C, 1, 1)."""
    piece.add("Reshape", [scores, piece.constant(f"{result}_shape", [0, 0, 1, 1], np.int64)], result)


def _channels_from(first: int) -> Step:
    return lambda piece, tensor, result: _slice(piece, tensor, result, first, _LAST)


def _times_objectness(objectness: int, first_class: int, *, are_probabilities: bool) -> Step:
    """P(class) = P(object) P(class of an object)."""

    def step(piece: Piece, tensor: str, result: str) -> None:
        if not are_probabilities:
            tensor = piece.add("Sigmoid", [tensor], f"{result}_probabilities")
        of_object = _slice(piece, tensor, f"{result}_object", objectness, objectness + 1)
        piece.add("Mul", [of_object, _slice(piece, tensor, f"{result}_classes", first_class, _LAST)], result)

    return step


def _enlarged(size: tuple[int, int]) -> Step:
    return lambda piece, scores, result: piece.resize(scores, result, size, shrinks=False)


def _aligned(sources: tuple[tuple[int, ...], ...], merge: Step) -> Step:
    """The ensemble's classes in its order, each from the channels that count for it."""

    def gather(piece: Piece, logits: str, result: str, channels: Sequence[int]) -> str:
        return piece.add("Gather", [logits, piece.constant(f"{result}_channels", channels, np.int64)], result, axis=1)

    def step(piece: Piece, logits: str, result: str) -> None:
        if all(len(channels) == 1 for channels in sources):
            gather(piece, logits, result, [channels[0] for channels in sources])
            return
        merged = []
        for c, channels in enumerate(sources):
            part = gather(piece, logits, f"{result}_class_{c}", channels)
            if len(channels) > 1:
                merge(piece, part, f"{part}_merged")
            merged.append(part if len(channels) == 1 else f"{part}_merged")
        piece.add("Concat", merged, result, axis=1)

    return step


def _summed(piece: Piece, logits: str, result: str) -> None:
    """The log-sum-exp of logits: the logit of the sum of their probabilities."""
    piece.add("ReduceLogSumExp", [logits, piece.constant(f"{result}_axis", [1], np.int64)], result)


def _highest(piece: Piece, logits: str, result: str) -> None:
    """The largest logit; zero times their sum brings the NaN with it that a maximum loses."""
    axis = piece.constant(f"{result}_axis", [1], np.int64)
    largest = piece.add("ReduceMax", [logits, axis], f"{result}_largest")
    total = piece.add("ReduceSum", [logits, axis], f"{result}_total")
    nothing = piece.add("Mul", [total, piece.constant(f"{result}_zero", 0)], f"{result}_nothing")
    piece.add("Add", [largest, nothing], result)


def _class_logits(piece: Piece, p: str, result: str) -> None:
    """Log p; NaN where the p of a position do not sum to one."""
    axis, one = piece.constant(f"{result}_axis", [1], np.int64), piece.constant(f"{result}_one", 1)
    total = piece.add("ReduceSum", [p, axis], f"{result}_total")
    error = piece.add("Abs", [piece.add("Sub", [total, one], f"{result}_excess")], f"{result}_error")
    wrong = piece.add("Greater", [error, piece.constant(f"{result}_tolerance", _SUM_TOLERANCE)], f"{result}_wrong")
    log_p = piece.add("Log", [_lifted(piece, p, _SMALLEST, _SMALLEST)], f"{result}_log")
    piece.add("Where", [wrong, piece.constant(f"{result}_nan", np.nan), log_p], result)


def _independent_logits(piece: Piece, p: str, result: str) -> None:
    """Log p - log (1 - p)."""
    q = piece.add("Sub", [piece.constant(f"{result}_one", 1), p], f"{result}_q")
    log_p = piece.add("Log", [_lifted(piece, p, _SMALLEST, _SMALLEST)], f"{result}_log_p")
    log_q = piece.add("Log", [_lifted(piece, q, _ROUNDING_OF_ONE, _FROM_ONE)], f"{result}_log_q")
    piece.add("Sub", [log_p, log_q], result)


def _lifted(piece: Piece, p: str, below: float, to: float) -> str:
    """A p closer to zero than `below` lifted to a number that has a logarithm; one that is less stays, and has none."""
    small = piece.add(
        "Less", [piece.add("Abs", [p], f"{p}_magnitude"), piece.constant(f"{p}_below", below)], f"{p}_small"
    )
    return piece.add("Where", [small, piece.constant(f"{p}_least", to), p], f"{p}_lifted")


def _slice(piece: Piece, tensor: str, result: str, start: int, stop: int) -> str:
    """Channels [start, stop)."""
    bounds = [piece.constant(f"{result}_{name}", [at], np.int64) for name, at in (("start", start), ("stop", stop))]
    return piece.add("Slice", [tensor, *bounds, piece.constant(f"{result}_channels", [1], np.int64)], result)
