"""Other people's mistakes (SCORES.md), each with the tests that keep it out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

MISTAKES = {
    "1 double softmax": {
        "engines/formulas/test_uncertainty.py": {"test_1_probabilities_are_not_softmaxed_again"},
        "engines/test_tasks.py": {"test_probabilities_score_as_the_logits_they_came_from"},
        "engines/ensembles/test_activation.py": {"test_01_a_softmax_that_is_not_told_of_is_refused"},
    },
    "2 averaging before entropy": {
        "engines/formulas/test_uncertainty.py": {
            "test_2_members_are_averaged_before_the_entropy",
            "test_2_positions_are_averaged_after_the_entropy",
        },
    },
    "3 each image's map scaled by its own range": {
        "engines/formulas/test_uncertainty.py": {"test_3_a_frame_is_not_scaled_by_its_own_range"},
    },
    "4 a flip consistency that only adds two entropies": {
        "engines/test_views.py": {"test_4_views_that_agree_are_consistent_however_unsure_they_are"},
    },
    "5 numbers in the place of what is not finite": {
        "engines/formulas/test_uncertainty.py": {"test_5_a_number_that_is_not_finite_is_a_problem_and_no_score"},
        "engines/runtimes/test_onnx.py": {"test_a_network_that_answers_infinity_makes_a_problem_of_that_frame_only"},
        "store/test_rows.py": {"test_a_frame_with_a_problem_has_its_reason_and_no_numbers"},
    },
    "6 softmax of independent probabilities": {
        "engines/formulas/test_independent.py": {"test_a_class_is_not_made_less_likely_by_another"},
        "engines/formulas/test_boxes.py": {"test_probabilities_of_a_box_are_not_softmaxed"},
        "engines/ensembles/test_ensemble.py": {"test_an_activation_must_fit_the_task"},
    },
    "7 scores that depend on the batch": {
        "engines/runtimes/test_onnx.py": {"test_a_row_is_the_same_in_any_batch_and_for_any_number_of_threads"},
        "engines/formulas/test_boxes.py": {"test_the_object_frequency_is_not_scaled"},
    },
    "8 picks that depend on where they start, on memory order or on workers": {
        "selectors/test_select.py": {
            "test_the_first_centre_is_itself_in_the_batch",
            "test_threads_and_the_size_of_the_front_change_no_pick",
        },
        "selectors/pools/test_reading.py": {"test_the_order_of_rows_changes_nothing"},
    },
    "9 scores of different ensembles in one ranking": {
        "engines/ensembles/test_ensemble.py": {"test_an_ensemble_that_lost_a_member_is_another_one"},
        "store/test_views.py": {"test_frames_are_of_the_newest_ensemble_only"},
        "streaming/test_proof.py": {"test_rows_of_float16_are_rows_of_their_own"},
    },
    "10 NaN in SQL": {
        "selectors/pools/test_reading.py": {"test_a_frame_without_a_finite_score_is_no_candidate_and_is_counted"},
        "store/test_rows.py": {"test_a_frame_with_a_problem_has_its_reason_and_no_numbers"},
    },
    "11 dropout that a runtime removes": {
        "engines/graphs/test_dropout.py": {"test_11_real_passes_disagree_where_the_runtime_had_removed_dropout"},
        "engines/ensembles/test_ensemble.py": {"test_dropout_that_is_still_active_is_refused_without_passes"},
        "engines/truth/test_sentinel.py": {"test_members_that_never_disagree_are_refused"},
        "streaming/test_proof.py": {"test_members_that_never_disagree_are_refused_before_ray_starts"},
    },
}


def test_all_eleven_are_here() -> None:
    assert [int(mistake.split()[0]) for mistake in MISTAKES] == list(range(1, 12))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_has_tests_that_are_there(mistake: str) -> None:
    for file, names in MISTAKES[mistake].items():
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert names <= there, f"{file}: {names - there}"
