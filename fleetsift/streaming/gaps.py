"""Where a topic no longer has what the store goes on from: a partition is given up, or its gap sealed; never reset."""

from __future__ import annotations

import logging

from fleetsift.store.writer import StoreWriter
from fleetsift.streaming.source import Source

log = logging.getLogger(__name__)


def pass_gaps(source: Source, store: StoreWriter) -> dict[int, str]:
    """Set the source to where the store's chains end, after what is lost is sealed; returns whom it gives up, and why.

    A gap is sealed by a segment without rows that claims it and says why.
    """
    given_up: dict[int, str] = {}
    for partition, place in source.lost.items():
        if place.upto is not None:
            store.seal(partition, place.upto, place.reason)
            log.warning("partition %d: %s; the gap is sealed", partition, place.reason)
        else:
            given_up[partition] = place.reason
            log.error("partition %d is given up: %s", partition, place.reason)
    source.starts = {p: end for p, end in store.ends().items() if p in source.starts and p not in given_up}
    return given_up
