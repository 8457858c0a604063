"""One row a region of a frame: the cells of the coarse grid as candidates of their own (RALIS: Casanova et al. 2020).

`frame_id` is the region's own, `FRAME#region=ROW,COLUMN`; `uri` names its pixels as a media fragment,
`…/frame.jpg#xywh=pixel:480,0,480,360` (W3C Media Fragments), of the image as it lies there. Rows that were scored
before a frame's size was kept say `percent:25,0,25,33.3333` instead. `box.x`, `box.y`, `box.width` and `box.height` are
shares of the frame in any case. Where the grid does not divide the networks' positions evenly, a cell's edge lies less
than one of them beside it.

`entropy.mean` and `mutual_information.mean` are the region's, `argmax.CLASS` its class shares. Its `embedding` is the
frame's at length 1, followed by its class shares: regions are far apart where scenes are, or what is in them is. What
is known of the whole frame is in `frame`: `frame.frame_id`, `frame.area.person`, `frame.mutual_information.top`.
"""

from __future__ import annotations

from collections.abc import Sequence

MARK = "#region="

_VIEW = """
SELECT
    frame_id || '{mark}' || fleetsift_row || ',' || fleetsift_column AS frame_id,
    uri || CASE WHEN contains(uri, '#') THEN '&' ELSE '#' END || 'xywh=' || {box} AS uri,
    struct_pack(
        x := fleetsift_column / regions.columns, y := fleetsift_row / regions.rows,
        width := 1 / regions.columns, height := 1 / regions.rows
    ) AS box,
    struct_pack(
        mean := regions.entropy[fleetsift_cell + 1], max := NULL::FLOAT, top := NULL::FLOAT
    ) AS entropy,
    struct_pack(
        mean := regions.mutual_information[fleetsift_cell + 1], max := NULL::FLOAT, top := NULL::FLOAT
    ) AS mutual_information,
    {argmax}
    {embedding} AS embedding,
    struct_pack({frame}) AS frame,
    * EXCLUDE ({replaced}, fleetsift_cell, fleetsift_row, fleetsift_column, fleetsift_length, fleetsift_unit)
FROM (
    SELECT *, fleetsift_cell // regions.columns AS fleetsift_row, fleetsift_cell % regions.columns AS fleetsift_column
    FROM (SELECT *, unnest(range(regions.rows * regions.columns)) AS fleetsift_cell FROM ({units}))
)
"""
_PERCENT = """'percent:' || printf(
        '%.6g,%.6g,%.6g,%.6g',
        100 * fleetsift_column / regions.columns, 100 * fleetsift_row / regions.rows,
        100 / regions.columns, 100 / regions.rows
    )"""
# Edges are rounded, and not sizes: the regions of a frame cover each of its pixels once.
_PIXELS = """CASE WHEN width IS NULL OR height IS NULL THEN {percent} ELSE 'pixel:' || printf(
        '%d,%d,%d,%d',
        {left}, {top}, {right} - {left}, {bottom} - {top}
    ) END""".format(
    percent=_PERCENT,
    left="CAST(round(width * fleetsift_column / regions.columns) AS INTEGER)",
    top="CAST(round(height * fleetsift_row / regions.rows) AS INTEGER)",
    right="CAST(round(width * (fleetsift_column + 1) / regions.columns) AS INTEGER)",
    bottom="CAST(round(height * (fleetsift_row + 1) / regions.rows) AS INTEGER)",
)
# The frame's embedding at length 1. Not by list_dot_product: it refuses lists that lie beside a NULL, such as a row's
# that has no scores, even where that row is filtered away (DuckDB 2.0).
_UNITS = """
    SELECT *, list_transform(embedding, lambda v: CAST(v / fleetsift_length AS FLOAT)) AS fleetsift_unit
    FROM (
        SELECT *, greatest(sqrt(list_sum(list_transform(embedding, lambda v: CAST(v AS DOUBLE) ** 2))), 1e-12)
            AS fleetsift_length
        FROM {frames}
    )
"""
_SHARES = "list_slice(regions.argmax, fleetsift_cell * {classes} + 1, (fleetsift_cell + 1) * {classes})"

# What a frame says that is not true of its regions one by one: it moves into `frame`.
_OF_FRAME = (
    *("frame_id", "uri", "entropy", "expected_entropy", "mutual_information", "variation_ratio", "least_confidence"),
    *("margin", "area", "argmax", "objects", "equal", "height", "width"),
)


def regions_query(frames: str, columns: Sequence[str], classes: Sequence[str], *, shares: bool) -> str:
    """The SELECT that gives every region of a relation of frames.

    frames: the relation's name; columns: its columns, `regions` among them. shares: whether `regions.argmax` is there.
    """
    of_frame = [name for name in _OF_FRAME if name in columns]
    argmax, embedding = "", "fleetsift_unit"
    if shares:
        cells = _SHARES.format(classes=len(classes))
        named = ", ".join(
            f"{_quote(name)} := regions.argmax[fleetsift_cell * {len(classes)} + {c + 1}]"
            for c, name in enumerate(classes)
        )
        argmax = f"struct_pack({named}) AS argmax,"
        embedding = f"list_concat(coalesce(fleetsift_unit, []::FLOAT[]), {cells})"
    return _VIEW.format(
        mark=MARK,
        box=_PIXELS if {"height", "width"} <= set(columns) else _PERCENT,
        argmax=argmax,
        embedding=embedding,
        frame=", ".join(f"{name} := {name}" for name in of_frame),
        replaced=", ".join([*of_frame, "regions", "embedding"]),
        units=_UNITS.format(frames=frames),
    )


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
