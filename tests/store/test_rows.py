"""The columns of a row: what an analyst types, and null wherever a frame has no number."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsift.engines.rows import FrameRow, class_quantities_of, gather_rows
from fleetsift.schemas.ensemble import RegionSpec
from fleetsift.schemas.frames import FrameRef, Position
from fleetsift.schemas.scores import OBJECT_QUANTITIES, Task, quantities_of
from fleetsift.schemas.status import Problem, Status
from fleetsift.store.rows import RowLayout, rows_table
from tests.store.conftest import make_refs, make_scores

LAYOUT = RowLayout("e-1", 4, {"city": "string", "speed_mps": "double", "lane": "bigint", "night": "boolean"})

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.just([1]),
)


def row_of(metadata: dict[str, object]) -> dict[str, Any]:
    ref = FrameRef(Position("frames", 0, 0), "f", "s", "/f.jpg", metadata=metadata)
    row: dict[str, Any] = rows_table([ref], make_scores([ref]), LAYOUT).to_pylist()[0]
    return row


def test_declared_metadata_are_columns_and_the_rest_is_text() -> None:
    row = row_of({"city": "Lisbon", "speed_mps": 3, "lane": 2, "night": False, "gps": [1, 2]})
    assert row["metadata"] == {"city": "Lisbon", "speed_mps": 3.0, "lane": 2, "night": False}
    assert row["extra"] == '{"gps":[1,2]}'


def test_a_value_of_another_type_is_kept_as_text() -> None:
    row = row_of({"city": 7, "speed_mps": "fast", "lane": 2.5, "night": 1})
    assert row["metadata"] == {"city": None, "speed_mps": None, "lane": None, "night": None}
    assert row["extra"] == '{"city":7,"lane":2.5,"night":1,"speed_mps":"fast"}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_no_value(number: float) -> None:
    row = row_of({"city": "Lisbon", "speed_mps": number})
    assert row["metadata"]["speed_mps"] is None
    assert row["extra"] == '{"speed_mps":null}'


def test_an_integer_that_a_double_would_change_is_kept_as_text() -> None:
    row = row_of({"speed_mps": 2**53 + 1})
    assert row["metadata"]["speed_mps"] is None
    assert row["extra"] == '{"speed_mps":9007199254740993}'


@given(st.dictionaries(st.sampled_from(["city", "speed_mps", "lane", "night", "x"]), values))
def test_every_metadata_value_is_kept_once(metadata: dict[str, object]) -> None:
    """As a typed column or as text, whatever its type; a null says nothing."""
    row = row_of(metadata)
    columns = row["metadata"]
    assert isinstance(columns, dict)
    typed = {key: value for key, value in columns.items() if value is not None}
    extra = json.loads(str(row["extra"])) if row["extra"] else {}
    assert not typed.keys() & extra.keys()
    assert typed.keys() | extra.keys() == metadata.keys()
    assert all(typed[key] == metadata[key] for key in typed)


def test_a_frame_with_a_problem_has_its_reason_and_no_numbers() -> None:
    refs = make_refs([0, 1])
    table = rows_table(refs, make_scores(refs, {1: Problem(Status.CORRUPT, "half a JPEG")}), LAYOUT)
    good, bad = table.to_pylist()
    assert (good["status"], good["reason"]) == ("ok", None)
    assert (bad["status"], bad["reason"]) == ("corrupt", "half a JPEG")
    numbers = [name for name in table.column_names if pa.types.is_nested(table.schema.field(name).type)]
    assert set(numbers) - {"metadata"} == {name for name in numbers if bad[name] is None and good[name] is not None}


def test_scores_are_where_the_contract_says() -> None:
    refs = make_refs([5])
    [row] = rows_table(refs, make_scores(refs), RowLayout("e-1", 4)).to_pylist()
    assert "metadata" not in row
    assert set(row["entropy"]) == {"mean", "max", "top", "by_class"}
    assert set(row["expected_entropy"]) == {"mean", "max", "top"}
    assert set(row["mutual_information"]["by_class"]) == set(row["area"]) == set(row["argmax"]) == {"road", "car"}
    assert (row["regions"]["rows"], row["regions"]["columns"], len(row["regions"]["entropy"])) == (3, 4, 12)
    assert len(row["embedding"]) == 3
    assert (row["topic"], row["partition"], row["offset"], row["ensemble"], row["members"]) == (
        "frames",
        0,
        5,
        "e-1",
        4,
    )


def test_a_frame_that_was_read_says_its_size() -> None:
    one, other = make_refs([0, 1])
    table = rows_table([replace(one, size=(720, 1280)), other], make_scores([one, other]), RowLayout("e-1", 4))
    assert [(row["height"], row["width"]) for row in table.to_pylist()] == [(720, 1280), (None, None)]


def of_task(task: Task, regions: RegionSpec | None) -> dict[str, Any]:
    """The row of a frame that an ensemble of one road and one car detector, or classifier, scored."""
    cells = regions.rows * regions.columns if regions else 0
    scored = FrameRow(
        statistics=np.ones((len(quantities_of(task)), 3)),
        by_class=np.ones((len(class_quantities_of(task)), 2)),
        regions=np.ones((2, cells)),
        embedding=np.zeros(0),
    )
    refs, problem = make_refs([0, 1]), Problem(Status.CORRUPT, "half a JPEG")
    scores = gather_rows([scored, problem], ("road", "car"), regions, 0, task)
    good, bad = rows_table(refs, scores, RowLayout("e-1", 4)).to_pylist()
    assert bad["entropy"] is None
    assert good.keys() == bad.keys()
    return dict(good)


def test_independent_classes_have_no_columns_for_the_one_that_is_the_answer() -> None:
    row = of_task("detection_heatmap", RegionSpec())
    assert not {"variation_ratio", "margin", "argmax"} & row.keys()
    assert set(row["entropy"]) == {"mean", "max", "top", "by_class"}
    assert set(row["area"]) == {"road", "car"}
    assert len(row["regions"]["entropy"]) == 12


def test_a_classified_frame_has_no_regions() -> None:
    row = of_task("classification", None)
    assert "regions" not in row
    assert row["argmax"] == {"road": 1, "car": 1}
    assert row["margin"] == {"mean": 1, "max": 1, "top": 1}


def test_objects_are_a_column_where_boxes_are_counted() -> None:
    refs = make_refs([0, 1])
    row = FrameRow(np.ones((4, 3)), np.ones((3, 2)), np.ones((2, 0)), np.zeros(0), objects=np.arange(6.0))
    problem = Problem(Status.CORRUPT, "half a JPEG")
    scores = gather_rows([row, problem], ("road", "car"), None, 0, "detection_heatmap", objects=True)
    good, bad = rows_table(refs, scores, RowLayout("e-1", 4)).to_pylist()
    assert bad["objects"] is None
    assert good["objects"] == {name: value for value, name in enumerate(OBJECT_QUANTITIES)}


def test_the_consistency_of_views_is_a_column_where_there_are_two() -> None:
    row = FrameRow(np.ones((6, 3)), np.ones((4, 2)), np.ones((2, 0)), np.zeros(0), equal=np.array([0.25, 0.5]))
    problem = Problem(Status.CORRUPT, "half a JPEG")
    scores = gather_rows([row, problem], ("road", "car"), None, 0, equal=True)
    good, bad = rows_table(make_refs([0, 1]), scores, RowLayout("e-1", 4)).to_pylist()
    assert good["equal"] == {"jensen_shannon": 0.25, "argmax_disagreement": 0.5}
    assert bad["equal"] is None


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="expected 2 frames, got 1"):
        rows_table(make_refs([0, 1]), make_scores(make_refs([0])), LAYOUT)
