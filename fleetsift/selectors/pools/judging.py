"""What a specification says of every frame of a store, as SQL: labelled, picked earlier, left out, admitted."""

from __future__ import annotations

from collections.abc import Mapping

from fleetsift.schemas.selection import SelectionSpec, Unit
from fleetsift.selectors.batches.rounds import read_rounds
from fleetsift.selectors.pools.labelled import read_labelled
from fleetsift.selectors.pools.needs import Needs

# Whether a row is one of the named; a region is what its frame is.
NAMED: Mapping[Unit, str] = {
    "frame": "frame_id IN (SELECT unnest({names}::VARCHAR[]))",
    "region": "(frame_id IN (SELECT unnest({names}::VARCHAR[])) "
    "OR frame.frame_id IN (SELECT unnest({names}::VARCHAR[])))",
}

_JUDGED = """
WITH judged AS (
    SELECT *,
        {labelled} AS fleetsift_labelled,
        session_id IN (SELECT unnest($2::VARCHAR[])) AS fleetsift_session,
        frame_id IN (SELECT unnest($3::VARCHAR[])) OR session_id IN (SELECT unnest($4::VARCHAR[])) AS fleetsift_given,
        frame_id IN (SELECT unnest($5::VARCHAR[])) AS fleetsift_earlier,
        {excluded} AS fleetsift_excluded,
        coalesce(TRY(({where}
        )), false) AS fleetsift_admitted
    FROM frames
)
"""
COUNTS = """
SELECT
    count(*) FILTER (WHERE NOT fleetsift_admitted),
    count(*) FILTER (WHERE fleetsift_admitted AND fleetsift_earlier),
    count(*) FILTER (WHERE fleetsift_admitted AND fleetsift_labelled AND NOT fleetsift_earlier),
    count(*) FILTER (WHERE fleetsift_admitted AND NOT (fleetsift_labelled OR fleetsift_earlier) AND fleetsift_session),
    count(*) FILTER (
        WHERE fleetsift_admitted AND NOT (fleetsift_labelled OR fleetsift_earlier OR fleetsift_session)
        AND fleetsift_excluded
    )
FROM judged
"""
ROWS = """
SELECT frame_id, session_id, uri, fleetsift_earlier AS earlier,
    fleetsift_labelled AND NOT fleetsift_earlier AS labelled,
    fleetsift_admitted AND NOT (
        fleetsift_session OR fleetsift_labelled OR fleetsift_earlier OR fleetsift_excluded
    ) AS candidate{columns}
FROM judged
WHERE fleetsift_labelled OR fleetsift_earlier OR fleetsift_given
    OR fleetsift_admitted AND NOT (fleetsift_session OR fleetsift_excluded)
"""
ONE = """
SELECT fleetsift_admitted, fleetsift_earlier, fleetsift_labelled, fleetsift_session, fleetsift_excluded{columns}
FROM judged WHERE frame_id = $7
"""


def judge(spec: SelectionSpec, needs: Needs) -> tuple[str, list[list[str]]]:
    """The beginning of a query over every frame with what the specification says of it, and the values to bind."""
    labelled = read_labelled(spec.labelled.frames)
    given = [frozenset().union(*names) for names in zip(*needs.given.values(), strict=True)] or [frozenset()] * 2
    excluded = read_labelled(spec.exclude, "selection.exclude")
    judged = _JUDGED.format(
        where=spec.where or "true",
        labelled=NAMED[spec.unit].format(names="$1"),
        excluded=NAMED[spec.unit].format(names="$6"),
    )
    earlier = list(read_rounds(spec.continues))
    return judged, [sorted(labelled), list(spec.labelled.sessions), *map(sorted, given), earlier, sorted(excluded)]
