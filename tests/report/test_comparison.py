"""Two answers about the same images, counted."""

import math

import numpy as np
import pytest

from caffe_gradcam.report.comparison import Comparison, likeness, mcnemar, most_different, paired
from caffe_gradcam.report.condition import Condition
from caffe_gradcam.report.entries import ImageEntry, MapEntry
from prototxt_tools.errors import QuestionError

LEFT, RIGHT = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
LEFT[:, :2] = RIGHT[:, 2:] = 255


def shown(heat, class_index=0, method="grad-cam"):
    return MapEntry("q", class_index, None, 1.0, 0.5, method, "conv5", "ok", heat=heat)


def entry(number, true_label, predicted, *maps, sha256="a"):
    return ImageEntry(number, str(number), f"{number}.png", "ok", sha256, true_label=true_label,
                      predicted=predicted, maps=maps)


def compared(first, second):
    comparison = Comparison()
    return comparison, most_different(paired(first, second, comparison), comparison, 100)


@pytest.mark.parametrize("first, second, probability", [
    (0, 0, 1), (3, 3, 1), (0, 5, 2 / 32), (5, 0, 2 / 32), (1, 9, 22 / 1024), (4, 5, 1)])
def test_mcnemar_is_the_exact_binomial_test(first, second, probability):
    assert mcnemar(first, second) == pytest.approx(probability)


def test_mcnemar_of_many_images_does_not_overflow():
    scipy = pytest.importorskip("scipy.stats", reason="SciPy is not installed here")
    expected = 2 * scipy.binom.cdf(4900, 10000, 0.5)
    assert mcnemar(4900, 5100) == pytest.approx(expected, rel=1e-9)


def test_answers_and_accuracies_are_counted():
    before = [entry(0, 0, 0), entry(1, 0, 0), entry(2, 1, 0), entry(3, None, 0), entry(4, 1, None)]
    after = [entry(0, 0, 0), entry(1, 0, 1), entry(2, 1, 1), entry(3, None, 1), entry(4, 1, 1)]
    comparison, _ = compared(before, after)
    values = comparison.values()
    assert (comparison.pairs, comparison.answered, comparison.changed) == (5, 4, 3)
    assert (comparison.only_before, comparison.only_after) == (1, 1)
    assert values["accuracy_before"] == values["accuracy_after"] == pytest.approx(2 / 3)
    assert (values["changed"], values["accuracy_drop"], values["p_value"]) == (0.75, 0, 1)


@pytest.mark.parametrize("first, second, cosine", [
    ([shown(LEFT)], [shown(LEFT)], 1), ([shown(LEFT)], [shown(RIGHT)], 0),
    ([shown(LEFT)], [shown(np.uint8(LEFT // 2))], 1),
    ([shown(LEFT), shown(LEFT, 1)], [shown(LEFT), shown(RIGHT, 1)], 0.5),
    ([shown(LEFT * 0)], [shown(LEFT * 0)], 1), ([shown(LEFT * 0)], [shown(LEFT)], 0),
    ([shown(LEFT)], [shown(LEFT, 1)], None), ([shown(LEFT)], [shown(LEFT, 0, "cam")], None),
    ([shown(LEFT)], [shown(None)], None), ([shown(LEFT)], [shown(LEFT[:2])], None)])
def test_maps_of_one_class_and_method_are_compared(first, second, cosine):
    alike = likeness(entry(0, 0, 0, *first), entry(0, 0, 0, *second))
    assert alike == (None if cosine is None else pytest.approx(cosine, abs=1e-3))


def test_the_most_different_come_first():
    before = [entry(number, None, 0, shown(LEFT)) for number in range(4)]
    after = [entry(0, None, 0, shown(LEFT)), entry(1, None, 0, shown(RIGHT)),
             entry(2, None, 1, shown(LEFT)), entry(3, None, 0)]
    _, entries = compared(before, after)
    assert [shown_entry.number for shown_entry in entries] == [2, 1, 0, 3]
    assert [shown.method for shown in entries[0].maps] == ["after: grad-cam", "before: grad-cam"]


def test_images_are_matched_by_name_in_any_order():
    before = [entry(number, number % 2, 0) for number in range(5)]
    after = [entry(number, number % 2, 0) for number in (3, 1, 4, 0, 7)]
    comparison, _ = compared(before, after)
    assert (comparison.pairs, comparison.lone_before, comparison.lone_after) == (4, 1, 1)
    assert comparison.sections(str)[0].facts[-1].value == "–"  # No map beside another.
    assert comparison.problems() == ["1 of the images is only in the first, and not compared",
                                     "1 of the images is only in the second, and not compared"]


def test_names_that_come_twice_are_matched_in_order():
    comparison, _ = compared([entry(0, 0, 0), entry(0, 0, 1)], [entry(0, 0, 0), entry(0, 0, 1)])
    assert (comparison.pairs, comparison.changed) == (2, 0)


def test_images_that_have_changed_are_not_compared():
    comparison, entries = compared([entry(0, 0, 0)], [entry(0, 0, 1, sha256="b")])
    assert (comparison.pairs, comparison.different, entries) == (0, 1, [])


def test_without_labels_the_accuracy_is_not_known():
    comparison, _ = compared([entry(0, None, 0)], [entry(0, None, 1)])
    assert math.isnan(comparison.values()["accuracy_drop"])
    with pytest.raises(QuestionError, match="accuracy_drop is not known"):
        Condition("accuracy_drop > 0.01", comparison.values()).holds(comparison.values())


@pytest.mark.parametrize("text, holds", [
    ("drop > 0.01", True), ("drop > 0.05", False), ("drop > 0.01 or changed > 1", True),
    ("not drop > 0.05 and changed >= 0.1", True), ("0 < drop < 0.03", True),
    ("changed - drop == 0.1 - 0.02", True), ("-drop > -1", True),
    ("2 * changed / 2 != 0.1", False)])
def test_conditions(text, holds):
    values = {"drop": 0.02, "changed": 0.1}
    assert Condition(text, values).holds(values) is holds


@pytest.mark.parametrize("text", [
    "", "drop >", "__import__('os')", "drop.real > 0", "drop if drop else 1", "[drop]", "'a' > 0",
    "drop ** 99", "lambda: 0", "drop in (1, 2)", "(" * 500 + ")" * 500, "drop > 0" + " " * 2000,
    "drop / 0 > 1"])
def test_a_condition_can_hold_nothing_else(text):
    with pytest.raises(QuestionError):
        Condition(text, {"drop": 0.0}).holds({"drop": 0.0})


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(QuestionError, match="there is no dorp; known: drop"):
        Condition("dorp > 1", {"drop": 0.0})
