"""Counts, accuracy and confusion."""

import numpy as np
import pytest

from caffe_gradcam.report.entries import ImageEntry, MapEntry
from caffe_gradcam.report.summary import Proportion, Summary, unlikeness


def shown(class_index, probability=None, heat=None):
    return MapEntry("q", class_index, None, 1.0, probability, "grad-cam", "conv5", "ok", heat=heat)


def entry(number, true_label, predicted, status="ok", maps=()):
    return ImageEntry(number, "i", "p", status, true_label=true_label, predicted=predicted,
                      maps=maps)


def test_an_interval_is_wilsons():
    """Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I."""
    assert np.round(Proportion(81, 263).interval, 4).tolist() == [0.2553, 0.3662]
    assert np.round(Proportion(15, 148).interval, 4).tolist() == [0.0624, 0.1605]
    assert np.round(Proportion(0, 20).interval, 4).tolist() == [0.0, 0.1611]
    assert np.round(Proportion(1, 29).interval, 4).tolist() == [0.0061, 0.1718]


def test_nothing_has_no_proportion():
    assert np.isnan(Proportion(0, 0).value) and np.isnan(Proportion(0, 0).interval).all()


def test_accuracy_counts_images_whose_class_is_known():
    summary = Summary.of([entry(0, 1, 1), entry(1, 1, 2), entry(2, None, 1), entry(3, 1, None)])
    assert (summary.images, summary.accuracy) == (4, Proportion(1, 2))


def test_a_class_has_recall_precision_and_mean_certainty():
    summary = Summary.of([entry(0, 1, 1, maps=[shown(1, 0.5)]), entry(1, 1, 2),
                          entry(2, 2, 1, maps=[shown(1, 0.7)]), entry(3, None, 1, "empty")])
    line = summary.classes()[0]
    assert (line.index, line.recall, line.precision) == (1, Proportion(1, 2), Proportion(1, 2))
    assert (line.answers, line.empty) == (3, 1)
    assert line.certainty == pytest.approx(0.6)


def test_the_matrix_has_a_row_for_each_true_class():
    summary = Summary.of([entry(0, 1, 1), entry(1, 1, 2), entry(2, 1, 2), entry(3, 2, 2)])
    assert summary.matrix() == ([1, 2], [[1, 2], [0, 1]])
    assert summary.mistakes() == [(1, 2, 2)]


def test_a_matrix_of_many_classes_is_not_shown():
    summary = Summary.of([entry(index, index, index) for index in range(31)])
    assert summary.matrix() is None and len(summary.classes()) == 31


def test_a_map_is_compared_with_the_mean_of_the_others_of_its_class():
    left, right = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    left[:, :8] = right[:, 8:] = 255
    entries = [entry(number, None, 0, maps=[shown(0, heat=heat)])
               for number, heat in enumerate([left, left, left, right])]
    entries.append(entry(4, None, 1, maps=[shown(1, heat=left)]))
    distances = unlikeness(entries)
    assert distances[3] == pytest.approx(1) and 4 not in distances
    # The others are two like it and one beside it: cosine 2 / sqrt(5).
    assert distances[0] == pytest.approx(1 - 2 / 5 ** 0.5, abs=1e-6)


def test_summaries_add_up():
    first, second = Summary.of([entry(0, 1, 1)]), Summary.of([entry(1, 1, 2, "empty")])
    first.include(second)
    assert first.accuracy == Proportion(1, 2) and first.statuses == {"ok": 1, "empty": 1}
