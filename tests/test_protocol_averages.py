"""Means over classes, and the interval that the choice of images leaves."""

import numpy as np
import pytest

from caffe_gradcam.measuring.metrics import bootstrap
from caffe_gradcam.measuring.protocols import averages, classes
from prototxt_tools.errors import InputError


def test_the_mean_of_each_class_counts_alike():
    average = averages.over_groups([1, 1, 1, 0], [0, 0, 0, 7], list("abcd"))
    assert (average.mean, average.count) == (0.5, 4)


def test_one_group_has_the_plain_mean_and_about_the_interval_of_a_plain_bootstrap():
    values = np.random.RandomState(0).rand(200) < 0.7
    ours = averages.over_groups(values, [0] * 200, range(200))
    plain = bootstrap.interval(values)
    assert ours.mean == pytest.approx(plain.mean)
    assert (ours.low, ours.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_values_of_one_image_are_drawn_together():
    values = [1.0] * 50 + [0.0] * 50
    apart = averages.over_groups(values, [0] * 100, range(100))
    together = averages.over_groups(values, [0] * 100, ["a"] * 50 + ["b"] * 50)
    assert together.high - together.low == 1
    assert apart.high - apart.low < 0.25


def test_a_class_that_a_draw_lacks_does_not_count_in_it():
    average = averages.over_groups([1, 1], [0, 1], ["a", "b"])
    assert (average.low, average.high) == (1, 1)


def test_one_image_has_no_interval_and_no_values_have_no_mean():
    assert np.isnan(averages.over_groups([1, 0], [0, 1], ["a", "a"]).low)
    assert np.isnan(averages.over_groups([], [], []).mean)


def test_without_class_names_the_orders_are_the_same():
    assert classes.order(("cat", "dog"), None, 2) == (0, 1)
    assert classes.order(("", ""), ("x", "y"), None) == (0, 1)


def test_class_names_of_the_net_decide_about_its_order():
    assert classes.order(("potted plant", "Dog"), ("dog", "pottedplant"), 2) == (1, 0)


def test_classes_with_one_name_are_taken_in_their_order():
    assert classes.order(("crane", "pot", "crane"), ("pot", "crane", "crane"), 3) == (1, 0, 2)


@pytest.mark.parametrize("names, count, message", [
    (None, 10, "for a net with 2 classes, and this net has 10"),
    (("cat", "cow"), 2, "'dog' is none of the net's class names; give --labels")])
def test_a_net_of_other_classes_is_refused(names, count, message):
    with pytest.raises(InputError, match=message):
        classes.order(("cat", "dog"), names, count)
