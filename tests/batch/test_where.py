"""Conditions on rows."""

import pytest

from caffe_gradcam.batch.output.where import Where
from prototxt_tools.errors import InputError

ROW = {"item": 12, "path": "a/b.jpg", "status": "ok", "label": 3, "class": 7, "predicted": 7,
       "score": 4.5, "probability": 0.25, "name": "class 7", "error": None}


@pytest.mark.parametrize("text, expected", [
    ("status == 'ok' and label != class", True),
    ("class == 3 or class==7", True),
    ("not (class == label)", True),
    ("0.2 < probability <= 0.25", True),
    ("label in [1, 2]", False),
    ("label not in (1, 2)", True),
    ("'b.jpg' in path", True),
    ("score - 0.5 == 4 and -score < 0", True),
    ("class - label == 2 * 2", True),
    ("name == 'class 7'", True),
    ("error is None", True),
    ("error < 3", False),
    ("error + 1 == 2", False),
    ("score / 0 > 1", False),
    ("error != 3", True),
])
def test_a_condition_holds_or_not(text, expected):
    assert Where(text)(ROW) is expected


@pytest.mark.parametrize("text, message", [
    ("klass == 3", "no column klass; known: item, id,"),
    ("__import__('os')", "no column __import__"),
    ("path.upper() == 'A'", "Call cannot stand in a condition|Attribute cannot"),
    ("[one for one in path]", "no column one"),
    ("score ** 100000 > 1", "Pow cannot stand in a condition"),
    ("lambda: 1", "Lambda cannot stand in a condition"),
    ("status = 'ok'", "not a condition such as"),
    ("status ==", "not a condition such as"),
    ("(status", "not a condition such as"),
    ("", "not a condition such as"),
    ("cam == 1", "no column cam"),
])
def test_anything_else_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Where(text)


def test_the_columns_that_a_condition_reads_are_known():
    assert Where("status == 'ok' and label != class").columns == {"status", "label", "class"}
