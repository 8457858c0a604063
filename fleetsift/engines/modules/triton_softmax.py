"""The Triton kernel where one of the classes is the answer; `triton_reduction` says what it is given."""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def reduce_softmax(  # type: ignore[no-untyped-def]  # noqa: PLR0917 - a kernel's are passed one by one
    logits, maps, sums, entropies, argmax, members, n, classes, positions, blocks, smallest, rounding, tie,
    padded: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    frame, here = tl.program_id(0), tl.program_id(1)
    c = tl.arange(0, padded)[:, None]
    x = here * block + tl.arange(0, block)
    inside = x < positions
    real = (c < classes) & inside[None, :]
    offsets = c * positions + x[None, :]

    sum_p = tl.zeros((padded, block), tl.float32)
    sum_p_log_p = tl.zeros((padded, block), tl.float32)
    votes = tl.zeros((padded, block), tl.float32)
    for m in range(members):
        base = logits + (m * n + frame).to(tl.int64) * classes * positions
        values = tl.load(base + offsets, mask=real, other=0.0).to(tl.float32)
        z = values - tl.max(tl.where(c < classes, values, float("-inf")), axis=0)[None, :]
        e = tl.where(c < classes, tl.exp(z), 0.0)
        s = tl.sum(e, axis=0)
        p = e / s[None, :]
        p_log_p = tl.where(real, p * (z - tl.log(s)[None, :]), 0.0)
        vote = tl.min(tl.where((z >= 0.0) & (c < classes), c, padded), axis=0)
        sum_p += p
        sum_p_log_p += p_log_p
        votes += tl.where(c == vote[None, :], 1.0, 0.0)
        tl.store(entropies + (frame * blocks + here) * members + m, -tl.sum(tl.sum(p_log_p, axis=0), axis=0))

    p = sum_p / members
    p_log_p = sum_p_log_p / members
    entropy = -p * tl.log(tl.minimum(tl.maximum(p, smallest), 1.0))
    share = entropy + p_log_p
    information = tl.sum(share, axis=0)
    information = tl.where((information > rounding) & (information < 0.0), 0.0, information)
    first = tl.max(p, axis=0)
    is_first = c == tl.min(tl.where(p >= first[None, :], c, padded), axis=0)[None, :]
    second = tl.max(tl.where(is_first, 0.0, p), axis=0)
    winner = tl.min(tl.where((p >= first[None, :] - tie) & (c < classes), c, padded), axis=0)

    quantity = maps + frame.to(tl.int64) * 6 * positions + x  # in the order of QUANTITIES
    tl.store(quantity, tl.sum(entropy, axis=0), mask=inside)
    tl.store(quantity + positions, -tl.sum(p_log_p, axis=0), mask=inside)
    tl.store(quantity + 2 * positions, information, mask=inside)
    tl.store(quantity + 3 * positions, 1.0 - tl.max(votes, axis=0) / members, mask=inside)
    tl.store(quantity + 4 * positions, 1.0 - tl.minimum(first, 1.0), mask=inside)
    tl.store(quantity + 5 * positions, 1.0 - tl.minimum(first - second, 1.0), mask=inside)
    tl.store(argmax + frame.to(tl.int64) * positions + x, winner.to(tl.int64), mask=inside)

    numbers = tl.arange(0, padded)
    counted = numbers < classes
    of_class = sums + (frame * blocks + here) * 4 * classes + numbers  # in the order of CLASS_QUANTITIES
    tl.store(of_class, tl.sum(tl.where(real, entropy, 0.0), axis=1), mask=counted)
    tl.store(of_class + classes, tl.sum(tl.where(real, share, 0.0), axis=1), mask=counted)
    tl.store(of_class + 2 * classes, tl.sum(tl.where(real, p, 0.0), axis=1), mask=counted)
    wins = tl.where(real & (c == winner[None, :]), 1.0, 0.0)
    tl.store(of_class + 3 * classes, tl.sum(wins, axis=1), mask=counted)
