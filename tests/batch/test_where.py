"""Conditions on rows."""

import pytest

from caffe_gradcam.batch.output.where import Where
from prototxt_tools.errors import InputError

ROW = {"item": 12, "path": "a/b.jpg", "status": "ok", "true_label": 3, "class": 7, "predicted": 7,
       "score": 4.5, "probability": 0.25, "class_name": "class 7", "error": None}


@pytest.mark.parametrize("text, expected", [
    ("status == 'ok' and true_label != class", True),
    ("class == 3 or class==7", True),
    ("not (class == true_label)", True),
    ("0.2 < probability <= 0.25", True),
    ("true_label in [1, 2]", False),
    ("true_label not in (1, 2)", True),
    ("'b.jpg' in path", True),
    ("score - 0.5 == 4 and -score < 0", True),
    ("class - true_label == 2 * 2", True),
    ("class_name == 'class 7'", True),
    ("error is None", True),
    ("error + 1 == 2", False),
    ("score / 0 > 1", False),
    ("predicted != None", True),
])
def test_a_condition_holds_or_not(text, expected):
    assert Where(text)(ROW) is expected


@pytest.mark.parametrize("text, message", [
    ("klass == 3", "there is no column klass; known: item, id,"),
    ("__import__('os')", "no column __import__"),
    ("path.upper() == 'A'", "a condition cannot contain (Call|Attribute)"),
    ("[one for one in path]", "no column one"),
    ("score ** 100000 > 1", "a condition cannot contain Pow"),
    ("lambda: 1", "a condition cannot contain Lambda"),
    ("status = 'ok'", "not a condition such as"),
    ("status ==", "not a condition such as"),
    ("(status", "not a condition such as"),
    ("", "not a condition such as"),
    ("cam == 1", "no column cam"),
    ("class == 'tabby'",
     r"compares class \(a number\) with 'tabby' \(a string\); .* class_name is a string"),
    ("probability > '0.5'", r"compares probability \(a number\) with '0.5' \(a string\)"),
    ("class in [1, 'tabby']", r"compares class \(a number\) with 'tabby' \(a string\)"),
    ("error < 3", r"compares error \(a string\) with 3 \(a number\)"),
    ("path == -1", r"compares path \(a string\) with -1 \(a number\)"),
])
def test_anything_else_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Where(text)


def test_the_columns_that_a_condition_reads_are_known():
    where = Where("status == 'ok' and true_label != class")
    assert where.columns == {"status", "true_label", "class"}
