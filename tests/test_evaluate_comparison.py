"""From measurements to a table, and to a verdict in one sentence."""

from dataclasses import replace

import numpy as np
import pytest

from caffe_gradcam.measuring import comparison, measurement
from caffe_gradcam.measuring.measurement import Measurement, Settings


def measured(method, layer, column="gap", **by_path):
    """Measurements of one method: a number for each image."""
    return [Measurement(path, 3, method, layer, {column: value}, {}, [])
            for path, value in sorted(by_path.items())]


def paths(values):
    return {f"p{index:02d}": value for index, value in enumerate(values)}


SPREAD = np.linspace(-0.3, 0.3, 21)
RANDOM = measured("random", None, **paths(0.1 + SPREAD[::-1]))
CENTRE = measured("centre", None, **paths(0.05 + SPREAD))
GOOD = measured("good", "conv5", **paths(0.5 + SPREAD))


def judge(*groups):
    measurements = [entry for group in groups for entry in group]
    made = comparison.rows(measurements)
    return comparison.verdict(made, measurements), made


def marks(made, column="gap"):
    return {row.method: row.marks[column] for row in made if column in row.marks}


def test_a_row_is_the_mean_over_images_with_its_interval():
    _, made = judge(GOOD, RANDOM)
    cell = made[0].cells["gap"]
    assert (made[0].method, made[0].layer, cell.count) == ("good", "conv5", 21)
    assert cell.mean == pytest.approx(0.5)
    assert cell.low == pytest.approx(0.42, abs=0.02) and cell.high == pytest.approx(0.58, abs=0.02)


def test_baselines_come_last():
    _, made = judge(RANDOM, GOOD, CENTRE)
    assert [row.method for row in made] == ["good", "random", "centre"]


def test_a_method_that_is_a_little_better_on_every_image_is_better():
    # The intervals of both overlap nearly wholly.
    worse = measured("worse", "conv5", **paths(0.47 + SPREAD + 0.01 * np.sin(range(21))))
    said, made = judge(worse, GOOD, RANDOM)
    assert marks(made) == {"good": "best", "worse": "", "random": ""}
    assert said.text.startswith(
        "Trust good at conv5: it is the best by insertion minus deletion, 0.500 (95 % interval ")
    assert said.text.endswith("significantly better than the next, worse at conv5 (0.470).")
    assert (said.method, said.layer, said.column) == ("good", "conv5", "gap")


def test_methods_whose_difference_is_chance_are_equal():
    same = measured("same", "conv5", **paths(0.48 + SPREAD[::-1]))
    said, made = judge(same, GOOD, RANDOM)
    assert marks(made) == {"good": "best", "same": "equal", "random": ""}
    assert said.text.endswith("; no significant difference from same at conv5.")


def test_what_is_no_better_than_chance_is_not_recommended():
    said, _ = judge(measured("weak", "conv5", **paths(0.12 + SPREAD)), RANDOM)
    assert said.method is None
    assert said.text.startswith("No method can be told apart from the random baseline by insertion "
                                "minus deletion: the best, weak at conv5, reaches 0.120")


def test_a_map_that_survives_random_weights_is_left_out():
    blind = [replace(entry, values=dict(entry.values, sanity=0.9))
             for entry in measured("blind", "conv1", **paths(0.8 + SPREAD))]
    seeing = [replace(entry, values=dict(entry.values, sanity=0.1)) for entry in GOOD]
    said, made = judge(blind, seeing, RANDOM)
    assert (said.method, said.layer) == ("good", "conv5")
    assert said.text.endswith("Left out, because their maps hardly change when the weights are "
                              "random (rank correlation above 0.5): blind at conv1 (0.90).")
    assert marks(made, "sanity") == {"good": "best", "blind": ""}


def test_nothing_is_recommended_where_all_are_blind():
    blind = [replace(entry, values=dict(entry.values, sanity=-0.9)) for entry in GOOD]
    said, _ = judge(blind, RANDOM)
    assert said.method is None and said.text.startswith("No method can be trusted here.")


def test_one_image_is_not_enough():
    said, _ = judge(GOOD[:1], RANDOM[:1])
    assert said.method is None
    assert "a single image does not allow a conclusion about others" in said.text


def test_several_questions_about_one_image_are_one_witness():
    said, _ = judge([GOOD[0], replace(GOOD[1], path="p00", class_index=4)],
                    [RANDOM[0], replace(RANDOM[1], path="p00", class_index=4)])
    assert "a single image does not allow a conclusion about others" in said.text


def test_without_deletion_another_metric_decides():
    said, _ = judge(measured("good", "conv5", "pointing", **paths([1] * 9)),
                    measured("poor", "conv5", "pointing", **paths([1, 1, 1, 0, 0, 0, 1, 0, 0])),
                    measured("random", None, "pointing", **paths([0] * 9)))
    assert said.column == "pointing" and said.method == "good"


def test_low_is_good_where_it_is():
    said, made = judge(measured("a", "x", "deletion", **paths(0.2 + SPREAD)),
                       measured("b", "x", "deletion", **paths(0.6 + SPREAD)),
                       measured("random", None, "deletion", **paths(0.7 + SPREAD)))
    assert marks(made, "deletion") == {"a": "best", "b": "", "random": ""}
    assert said.method == "a"


def test_what_cannot_rank_methods_gives_no_verdict():
    said, _ = judge(measured("a", "x", "moved", **paths([0.1, 0.2])))
    assert said.column is None and "select deletion and insertion" in said.text


def test_values_that_are_missing_on_some_images_do_not_count():
    said, made = judge(measured("a", "x", "drop", **paths([0.5, np.nan, 0.7])),
                       measured("random", None, "drop", **paths([0.9, 0.9, 0.9])))
    assert made[0].cells["drop"].count == 2 and made[0].cells["drop"].mean == pytest.approx(0.6)
    assert said.method == "a"


def test_the_table_shows_hundredths_with_half_an_interval_and_marks():
    same = measured("same", "conv5", **paths(0.48 + SPREAD[::-1]))
    _, made = judge(GOOD, same, RANDOM)
    half = [50 * (row.cells["gap"].high - row.cells["gap"].low) for row in made]
    assert comparison.table(made).split("\n") == [
        "method  layer            gap +",
        f"good    conv5       50.0 ±{half[0]:.1f}*",
        f"same    conv5       48.0 ±{half[1]:.1f}=",
        f"random  (baseline)  10.0 ±{half[2]:.1f}",
    ]


def test_the_report_is_json_without_nan():
    one = replace(GOOD[0], curves={"deletion": [1.0, 0.0]}, stages=[(0.5, 0.25)])
    said, made = judge([one], RANDOM[:1])
    found = comparison.report(made, said, Settings(("deletion",)), [["fc8", "fc7"]])
    row = found["rows"][0]
    assert row["layer"] == "conv5" and found["rows"][1]["layer"] is None
    assert row["cells"]["gap"] == {
        "mean": pytest.approx(0.2), "low": None, "high": None, "count": 1, "mark": "equal"}
    assert row["curves"] == {"deletion": [1.0, 0.0]}
    assert row["random_weights"] == [
        {"layers": ["fc8", "fc7"], "rank_correlation": 0.5, "ssim": 0.25}]
    assert found["settings"]["metrics"] == ["deletion"] and found["confidence"] == 0.95


def test_every_metric_has_a_column():
    assert {one.metric for one in measurement.COLUMNS.values()} - {"deletion+insertion"} == set(
        measurement.METRICS)
