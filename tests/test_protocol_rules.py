"""The rules of published protocols: what counts as a hit, and which box is in the right place."""

import numpy as np
import pytest

from caffe_gradcam.measuring.protocols import rules
from caffe_gradcam.measuring.protocols.subjects import Box, Runs, mask_of


def blob(*spots, size=(40, 60)):
    """A map that is 1 in some boxes, whose edges are those of ``Box``, and 0 elsewhere."""
    heat = np.zeros(size, np.float32)
    for left, top, right, bottom in spots:
        heat[top:bottom + 1, left:right + 1] = 1
    return heat


@pytest.mark.parametrize("point, tolerance, hits", [
    ((10, 10), 15, True),  # in the object
    ((10, 34), 15, True),  # 14 pixels right of it
    ((10, 35), 15, False),  # 15 pixels, which is not less than 15
    ((29, 31), 15, True),  # 10 down and 11 right: 14.9
    ((29, 32), 15, False),  # 10 down and 12 right: 15.6
    ((20, 10), 1, False), ((19, 10), 1, True),
])
def test_a_point_hits_less_than_the_tolerance_from_an_object(point, tolerance, hits):
    mask = mask_of([Box(5, 5, 20, 19)], (60, 60))
    assert rules.is_hit(mask, point, tolerance) is hits


def test_any_object_of_the_class_can_be_hit():
    mask = mask_of([Box(0, 0, 2, 2), Box(50, 50, 55, 55)], (60, 60))
    assert rules.is_hit(mask, (52, 52)) and rules.is_hit(mask, (1, 1))
    assert not rules.is_hit(mask, (30, 30))


def test_the_first_of_equally_hot_pixels_is_pointed_at():
    assert rules.point_of(blob((7, 3, 8, 3), (2, 9, 2, 9))) == (3, 7)


def test_an_empty_map_points_at_the_corner():
    assert rules.point_of(np.zeros((5, 5))) == (0, 0)


def test_a_small_object_beside_another_class_is_difficult():
    small, large = mask_of([Box(0, 0, 9, 23)], (40, 60)), mask_of([Box(0, 0, 29, 19)], (40, 60))
    assert rules.is_difficult(small, 2)
    assert not rules.is_difficult(small, 1)
    assert not rules.is_difficult(large, 2)  # a quarter of the image exactly


def test_boxes_that_overlap_are_counted_once_in_an_area():
    mask = mask_of([Box(0, 0, 9, 9), Box(5, 0, 14, 9)], (40, 60))
    assert mask.sum() == 150


def test_a_box_beyond_the_image_ends_with_it():
    assert mask_of([Box(-3, -1, 100, 2)], (4, 6)).sum() == 18


def test_runs_go_down_the_columns():
    assert mask_of([Runs([1, 2, 3])], (3, 2)).tolist() == [
        [False, False], [True, False], [True, False]]


def test_the_box_is_around_the_largest_part_not_around_the_hottest():
    heat = 0.5 * blob((0, 0, 9, 4)) + blob((30, 30, 31, 31))
    assert rules.largest_box(heat, 0.15) == Box(0, 0, 9, 4)


def test_of_equally_large_parts_the_hottest_is_boxed():
    heat = 0.5 * blob((0, 0, 3, 3)) + blob((30, 30, 33, 33))
    assert rules.largest_box(heat, 0.15) == Box(30, 30, 33, 33)


def test_what_is_cooler_than_the_threshold_is_left_out():
    heat = blob((10, 10, 12, 12)) + np.float32(0.14)
    assert rules.largest_box(heat, 0.15) == Box(10, 10, 12, 12)
    assert rules.largest_box(heat, 0.1) == Box(0, 0, 59, 39)


@pytest.mark.parametrize("heat", [np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)])
def test_a_flat_map_has_no_box_and_localises_nothing(heat):
    assert rules.largest_box(heat, 0.15) is None
    assert not rules.is_localised(None, [Box(0, 0, 3, 3)])


@pytest.mark.parametrize("first, second, expected", [
    (Box(0, 0, 9, 9), Box(0, 0, 9, 9), 1), (Box(0, 0, 9, 9), Box(10, 0, 19, 9), 0),
    (Box(0, 0, 9, 9), Box(0, 5, 9, 14), 1 / 3.0), (Box(0, 0, 0, 0), Box(0, 0, 1, 0), 0.5),
])
def test_overlap_is_the_intersection_over_the_union_in_pixels(first, second, expected):
    assert rules.overlap(first, second) == pytest.approx(expected)
    assert rules.overlap(second, first) == pytest.approx(expected)


def test_a_box_that_overlaps_one_of_several_by_half_is_in_place():
    assert rules.is_localised(Box(0, 0, 0, 0), [Box(50, 50, 55, 55), Box(0, 0, 1, 0)])
    assert not rules.is_localised(Box(0, 0, 0, 0), [Box(0, 0, 2, 0)])


def plain_localisation(heat, truths):
    """The rule of ILSVRC again, pixel by pixel: flood the parts, box the largest, compare."""
    hot = {(row, column) for row, column in np.argwhere(heat >= np.float32(0.15) * heat.max())}
    if heat.max() <= 0 or len(hot) == heat.size:
        return False
    parts = []
    while hot:
        part, border = set(), [hot.pop()]
        while border:
            row, column = border.pop()
            part.add((row, column))
            for pixel in [(row + down, column + right) for down in (-1, 0, 1)
                          for right in (-1, 0, 1)]:
                if pixel in hot:
                    hot.remove(pixel)
                    border.append(pixel)
        parts.append(part)
    part = max(parts, key=lambda part: (len(part), max(heat[pixel] for pixel in part)))
    rows, columns = zip(*part)
    ours = {(row, column) for row in range(min(rows), max(rows) + 1)
            for column in range(min(columns), max(columns) + 1)}
    for box in truths:
        theirs = {(row, column) for row in range(box.top, box.bottom + 1)
                  for column in range(box.left, box.right + 1)}
        if len(ours & theirs) >= 0.5 * len(ours | theirs):
            return True
    return False


def test_localisation_is_that_of_a_plain_implementation():
    outcomes = []
    for seed in range(60):
        rng = np.random.RandomState(seed)
        coarse = np.float32(rng.rand(4, 5) ** 30) if seed % 7 else np.zeros((4, 5), np.float32)
        heat = np.kron(coarse, np.ones((4, 4), np.float32))
        row, column = rules.point_of(heat)
        truths = []
        for _ in range(1 + seed % 3):
            grown = rng.randint(0, 3, 4)
            truths.append(Box(column - grown[0], row - grown[1], column + 3 + grown[2],
                              row + 3 + grown[3]))
        ours = rules.is_localised(rules.largest_box(heat, 0.15), truths)
        assert ours == plain_localisation(heat, truths), seed
        outcomes.append(ours)
    assert 10 < sum(outcomes) < 50
