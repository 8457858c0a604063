"""The chains of one namespace, as a run reads them: many at once, and a store that is away is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from fleetsift.errors import StoreSilent
from fleetsift.patience import Patience
from fleetsift.schemas.fleet import StoreSpec
from fleetsift.store.chain import Namespace, read_end, verify_end
from fleetsift.store.folder import Folder, open_folder
from fleetsift.store.segments import SegmentFacts

T = TypeVar("T")

_AT_ONCE = 16  # chains that are asked at once
_STOPPING_S = 10.0  # a store that is away is waited for no longer once a run is told to stop


@dataclass(frozen=True, slots=True)
class Chains:
    """Where the chains of a topic and an ensemble lie, and how long to wait for that place.

    Every verb raises StoreError; StoreSilent, where the store has stayed away.
    """

    root: Folder
    namespace: Namespace
    patience: Patience

    @classmethod
    def open(cls, spec: StoreSpec, namespace: Namespace, stop: Event) -> Chains:
        """Nothing is asked yet; after `stop`, a store that is away is waited for ten seconds more at most."""
        root = open_folder(spec.path, spec.timeout_s, retries=0)  # patience asks again
        return cls(root, namespace, Patience(StoreSilent, spec.outage_s, stop, _STOPPING_S))

    def folder(self, partition: int) -> Folder:
        """Where the segments of a partition lie."""
        return self.namespace.folder(self.root, partition)

    def ends(self, partitions: Iterable[int]) -> dict[int, SegmentFacts | None]:
        """The last segment of each partition's chain by its footer; None where the chain is empty."""
        return self._each(partitions, lambda p: read_end(self.folder(p)))

    def verified(self, partitions: Iterable[int]) -> dict[int, SegmentFacts | None]:
        """The same, with every byte of those segments checked; raises SegmentCorrupt."""
        return self._each(partitions, lambda p: verify_end(self.folder(p), self.namespace, p))

    def others(self) -> list[str]:
        """The ids of other topics of the same name that have chains in the store."""
        return self.patience.ask(lambda: self.namespace.others(self.root))

    def _each(self, partitions: Iterable[int], look: Callable[[int], T]) -> dict[int, T]:
        """What a look at each partition's chain gives; after a silence, only those are looked at that are missing."""
        wanted, found = list(partitions), dict[int, T]()

        def look_at_rest() -> dict[int, T]:
            rest = wanted[len(found) :]
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="chains") as pool:
                found.update(zip(rest, pool.map(look, rest), strict=True))
            return found

        return self.patience.ask(look_at_rest)
