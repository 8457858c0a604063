"""The Triton kernel where every class is a question of its own; `triton_reduction` says what it is given."""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def reduce_independent(  # type: ignore[no-untyped-def]  # noqa: PLR0917 - a kernel's are passed one by one
    logits, maps, sums, entropies, argmax, members, n, classes, positions, blocks, smallest, rounding, tie,
    padded: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    frame, here = tl.program_id(0), tl.program_id(1)
    c = tl.arange(0, padded)[:, None]
    x = here * block + tl.arange(0, block)
    inside = x < positions
    real = (c < classes) & inside[None, :]
    offsets = c * positions + x[None, :]

    yes = tl.zeros((padded, block), tl.float32)
    no = tl.zeros((padded, block), tl.float32)
    expected = tl.zeros((padded, block), tl.float32)
    for m in range(members):
        base = logits + (m * n + frame).to(tl.int64) * classes * positions
        z = tl.load(base + offsets, mask=real, other=0.0).to(tl.float32)
        far = tl.abs(z)
        e = tl.exp(-far)
        s = 1.0 + e
        likely = 1.0 / s
        unlikely = e / s
        h = tl.where(real, tl.log(s) + far * unlikely, 0.0)
        yes += tl.where(z >= 0.0, likely, unlikely)
        no += tl.where(z >= 0.0, unlikely, likely)
        expected += h
        tl.store(entropies + (frame * blocks + here) * members + m, tl.sum(tl.sum(h, axis=0), axis=0))

    both = yes + no
    p = yes / both
    q = no / both
    expected = expected / members
    p_log_p = p * tl.log(tl.minimum(tl.maximum(p, smallest), 1.0))
    q_log_q = q * tl.log(tl.minimum(tl.maximum(q, smallest), 1.0))
    entropy = tl.where(real, -p_log_p - q_log_q, 0.0)
    share = entropy - expected
    information = tl.sum(share, axis=0)
    information = tl.where((information > rounding * classes) & (information < 0.0), 0.0, information)
    known = tl.where(c < classes, p, -1.0)
    first = tl.max(known, axis=0)
    winner = tl.min(tl.where(known >= first[None, :] - tie, c, padded), axis=0)

    quantity = maps + frame.to(tl.int64) * 4 * positions + x  # in the order of `quantities_of`
    tl.store(quantity, tl.sum(entropy, axis=0), mask=inside)
    tl.store(quantity + positions, tl.sum(expected, axis=0), mask=inside)
    tl.store(quantity + 2 * positions, information, mask=inside)
    tl.store(quantity + 3 * positions, tl.sum(tl.where(real, tl.minimum(p, q), 0.0), axis=0), mask=inside)
    tl.store(argmax + frame.to(tl.int64) * positions + x, winner.to(tl.int64), mask=inside)

    numbers = tl.arange(0, padded)
    counted = numbers < classes
    of_class = sums + (frame * blocks + here) * 3 * classes + numbers  # in the order of `class_quantities_of`
    tl.store(of_class, tl.sum(entropy, axis=1), mask=counted)
    tl.store(of_class + classes, tl.sum(share, axis=1), mask=counted)
    tl.store(of_class + 2 * classes, tl.sum(tl.where(real, p, 0.0), axis=1), mask=counted)
