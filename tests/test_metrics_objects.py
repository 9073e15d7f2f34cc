"""Masks, effects of removal, complexity, faithfulness and ADCC, by hand."""

import numpy as np
import pytest

from caffe_gradcam.measuring.metrics import complexity, faithfulness, masking, objects, sanity

HEAT = np.float32([[1, 2, 3], [4, 0, 10]])
MASK = np.array([[True, True, False], [True, False, False]])


def test_a_hit_is_a_peak_on_the_object():
    assert not objects.hits(HEAT, MASK)
    assert objects.hits(HEAT, ~MASK)


def test_the_mass_is_the_part_of_the_heat_on_the_object():
    assert objects.mass_accuracy(HEAT, MASK) == 7 / 20.0


def test_the_rank_is_the_part_of_the_hottest_pixels_on_the_object():
    # Of the three hottest, 10, 4 and 3, one lies on the object of three pixels.
    assert objects.rank_accuracy(HEAT, MASK) == pytest.approx(1 / 3.0)


def test_an_empty_map_misses_and_an_empty_mask_has_no_number():
    nothing = np.zeros((2, 3), np.float32)
    assert not objects.hits(nothing, MASK)
    assert objects.mass_accuracy(nothing, MASK) == objects.rank_accuracy(nothing, MASK) == 0
    assert np.isnan(objects.mass_accuracy(HEAT, MASK & False))
    assert np.isnan(objects.rank_accuracy(HEAT, MASK & False))


def test_the_cause_is_the_object_without_which_the_value_falls_most():
    assert objects.finds_cause([0.2, 0.7], [0.1, 0.5]) == 1
    assert objects.finds_cause([0.7, 0.2], [0.1, 0.5]) == 0
    assert objects.finds_cause([0.5, 0.5], [0.1, 0.5]) == 0.5
    assert objects.finds_cause([0, 0], [0.1, 0.5]) == 0


def test_there_is_no_cause_where_nothing_lowers_the_value():
    assert np.isnan(objects.finds_cause([0.7, 0.2], [-0.1, 0]))
    assert np.isnan(objects.finds_cause([0.7], [0.5]))


def test_heat_on_parts_is_ranked_as_their_effects():
    assert objects.follows_effects([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.9]) == pytest.approx(1)
    assert objects.follows_effects([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(objects.follows_effects([1, 2], [1, 2]))


def test_heat_inside_masks_is_a_number_for_each():
    assert objects.heat_inside(HEAT, [MASK, ~MASK]).tolist() == [7, 13]


def test_sparseness_is_the_gini_index():
    assert complexity.sparseness(np.ones((3, 3))) == 0
    # (-3 * 0 - 1 * 0 + 1 * 0 + 3 * 8) / (4 * 8).
    assert complexity.sparseness(np.float32([[0, 8], [0, 0]])) == 0.75
    assert np.isnan(complexity.sparseness(np.zeros((2, 2))))


def test_complexity_is_the_entropy_of_the_heat():
    assert complexity.complexity(np.full((2, 2), 7.0)) == pytest.approx(np.log(4))
    assert complexity.complexity(np.float32([[0, 8], [0, 0]])) == 0
    assert np.isnan(complexity.complexity(np.zeros((2, 2))))


def test_the_discrete_entropy_is_that_of_the_histogram():
    assert complexity.discrete_entropy(np.arange(100), bins=10) == pytest.approx(np.log(10))
    assert complexity.discrete_entropy(np.zeros(9)) == 0


def test_steps_hold_all_pixels_from_hot_to_cold():
    groups = faithfulness.steps_of(HEAT, 3)
    assert [sorted(HEAT.ravel()[group]) for group in groups] == [[4, 10], [2, 3], [0, 1]]


def test_subsets_have_the_size_that_is_given_and_no_pixel_twice():
    groups = faithfulness.subsets_of(np.zeros((20, 20)), runs=7)
    assert [len(set(group)) for group in groups] == [20] * 7


def test_pixels_are_removed_with_all_their_channels():
    blob = np.float32([[[1, 2]], [[3, 4]]])
    whole, changed = faithfulness.without(blob, [np.array([1])])
    assert whole.tolist() == blob.tolist()
    assert changed.tolist() == [[[1, 0]], [[3, 0]]]
    _, other = faithfulness.without(blob, [np.array([1])], np.full_like(blob, 9))
    assert other.tolist() == [[[1, 9]], [[3, 9]]]


def test_a_linear_net_agrees_fully_with_the_map_of_its_terms():
    groups = faithfulness.steps_of(HEAT, 6)
    values = [float(blob.sum()) for blob in faithfulness.without(HEAT[np.newaxis], groups)]
    assert faithfulness.agreement(HEAT, groups, values) == pytest.approx(1)
    assert faithfulness.agreement(HEAT, groups, [1.0] * 7) == 0


def test_adcc_is_the_harmonic_mean_of_three():
    heat = np.float32([[1, 0], [0, 0]])
    # Coherency 1, complexity 1/4, drop 0.4.
    assert masking.adcc(heat, heat, 0.4) == pytest.approx(3 / (1 + 1 / 0.75 + 1 / 0.6))


def test_adcc_is_zero_where_nothing_of_the_class_remains():
    heat = np.float32([[1, 0], [0, 0]])
    assert masking.adcc(heat, heat, 1.0) == 0
    assert masking.adcc(heat, 1 - heat, 0.4) == 0
    assert np.isnan(masking.adcc(heat, heat, float("nan")))


def test_the_last_smoothing_copy_is_the_image_itself():
    blob = np.float32(np.linspace(-50, 150, 300).reshape(3, 10, 10))
    copies = sanity.smoothing_copies(blob, 0.1, 40, seed=1)
    assert copies.shape == (40, 3, 10, 10) and copies.dtype == np.float32
    assert np.array_equal(copies[-1], blob)
    assert (copies[:-1] - blob).std() == pytest.approx(20, rel=0.05)


def test_another_class_is_never_the_class_itself():
    rng = np.random.RandomState(0)
    assert {sanity.other_class(2, 4, rng) for _ in range(50)} == {0, 1, 3}


def test_a_rise_is_relative_to_the_complexity_before():
    assert sanity.relative_rise(2.0, 3.0) == 0.5
    assert np.isnan(sanity.relative_rise(0.0, 3.0))
