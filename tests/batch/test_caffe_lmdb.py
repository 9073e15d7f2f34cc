"""LMDBs of Caffe's own convert_imageset, held against what Caffe's own Data layer reads of them.

Both are in tests/golden/lmdb.npz (tests/golden/make_lmdb.py).
"""

import pathlib

import numpy as np
import pytest

from caffe_gradcam.batch import sources
from caffe_gradcam.batch.sources import reading

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "lmdb.npz"
COUNT = 5


@pytest.mark.parametrize("options", ["raw", "raw-grey", "png", "jpg", "as-they-are", "png-grey"])
def test_pixels_and_labels_are_those_of_caffes_data_layer(options, tmp_path):
    lmdb = pytest.importorskip("lmdb", reason="lmdb is not installed here")
    golden = np.load(str(GOLDEN))
    path = str(tmp_path / "db")
    with lmdb.open(path) as database, database.begin(write=True) as writer:
        for index in range(COUNT):
            key, value = (golden[f"{options}/{index}/{part}"] for part in ("key", "value"))
            writer.put(key.tobytes(), value.tobytes())
    entries = list(sources.open_source(path))
    assert len(entries) == COUNT
    for index, entry in enumerate(entries):
        fetched = reading.fetch(entry)
        pixels = reading.decode(entry, fetched)
        assert fetched.true_label == golden[f"{options}/{index}/label"]
        expected = np.broadcast_to(golden[f"{options}/{index}/pixels"], pixels.shape)
        np.testing.assert_array_equal(pixels, expected)
