"""Columns of a part as Arrow's: the values that they hold as plain ones."""

import subprocess
import sys

import numpy as np
import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")

from caffe_gradcam.batch.output import columns  # noqa: E402
from caffe_gradcam.batch.output.parts import to_table  # noqa: E402
from caffe_gradcam.batch.output.rows import COLUMNS  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402

MISSING = np.array([True, False, True, False, False, False, False, False, False, True])
TEXTS = columns.Texts(["a", None, "", "Ärger", "日本"], np.array([4, 3, 0, 1, 1, 2, 0, 3]))
BYTES = columns.Bytes(np.frombuffer(b"abcdef", np.uint8), np.array([0, 3, 3]),
                      np.array([3, 3, 6]))
DIGESTS = columns.Digests(np.array([b"ab" * 32, b"", b"0" * 64]))


def numbers(dtype, missing=None):
    return columns.Numbers(np.arange(10).astype(dtype), missing)


def lists(missing=None):
    return columns.Numbers(np.arange(30).reshape(10, 3) / 7, missing)


@pytest.mark.parametrize("column, kind", [
    (numbers(np.int64), pyarrow.int32()),
    (numbers(np.int32, MISSING), pyarrow.int32()),
    (numbers(np.float64, MISSING), pyarrow.float32()),
    (numbers(bool), pyarrow.bool_()),
    (numbers(bool, MISSING), pyarrow.bool_()),
    (numbers(np.int32, np.ones(10, bool)), pyarrow.int32()),
    (numbers(np.int32).take(np.array([], int)), pyarrow.int32()),
    (lists(), pyarrow.list_(pyarrow.float64())),
    (lists(MISSING), pyarrow.list_(pyarrow.float64())),
    (lists(MISSING).take(np.array([0, 9])), pyarrow.list_(pyarrow.int32())),
    (TEXTS, pyarrow.string()),
    (TEXTS.take(np.array([3, 0, 3])), pyarrow.string()),
    (columns.Texts.alike(None, 3), pyarrow.string()),
    (columns.Texts.all_different([]), pyarrow.string()),
    (BYTES, pyarrow.binary()),
    (BYTES.take(np.array([2, 1, 0, 0])), pyarrow.binary()),
    (DIGESTS, pyarrow.string()),
    (DIGESTS.take(np.array([1, 1])), pyarrow.string()),
    (columns.Values([None, None]), pyarrow.list_(pyarrow.int32())),
    (columns.Values([[1, 2], None, []]), pyarrow.list_(pyarrow.int32())),
])
def test_a_column_holds_its_plain_values(column, kind):
    array = column.to_arrow(kind)
    array.validate(full=True)
    assert array.equals(pyarrow.array(column.to_list(), kind))


def test_more_than_arrow_has_room_for_is_refused():
    with pytest.raises(InputError, match="4.0 GiB.*smaller --part-size"):
        columns._offsets(np.full(4, 2 ** 30))


def test_a_table_without_lists_of_its_own_does_not_import_pandas():
    code = """
import sys
from caffe_gradcam.batch.output import columns, parts
from caffe_gradcam.batch.output.rows import COLUMNS
parts._to_parquet({name: columns.Values([None]) for name in COLUMNS})
parts._to_parquet(dict({name: columns.Values([None]) for name in COLUMNS},
                       path=columns.Texts.alike("a.png", 1)))
print("pandas" in sys.modules, "pyarrow.compute" in sys.modules)
"""
    output = subprocess.check_output([sys.executable, "-c", code], universal_newlines=True)
    assert output.split() == ["False", "False"]


def test_a_table_has_the_columns_of_a_part():
    table = to_table({name: columns.Values([None, None]) for name in COLUMNS})
    assert table.column_names == list(COLUMNS)
