"""The one-pass reduction in torch, on whatever device the logits are: member after member, block of rows after block.

The formulas are those of `formulas` in float32, arranged as in `graphs.formulas`; sums over positions are float64.
What is held is the running sums over the members and the scratch of one block, however many members there are.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from fleetsift.engines.modules.blocks import BLOCK
from fleetsift.engines.modules.independent import IndependentSums
from fleetsift.engines.modules.reduced import Reduced
from fleetsift.engines.modules.softmax import SoftmaxSums
from fleetsift.schemas.scores import Task, has_independent_classes


def reduce_members(members: Iterable[Tensor], task: Task, block: int = BLOCK) -> Reduced:
    """Reduce logits (N, C, h, w), one tensor a member.

    block: how many logits are worked on at once. Raises ValueError where there are no members.
    """
    kind = IndependentSums if has_independent_classes(task) else SoftmaxSums
    sums: IndependentSums | SoftmaxSums | None = None
    for logits in members:
        sums = kind.like(logits, task, block) if sums is None else sums
        sums.add(logits)
    if sums is None:
        raise ValueError("reduce_members: expected at least one member, got none")
    return sums.finish()
