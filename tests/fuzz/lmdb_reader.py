"""An LMDB to damage, and its reader."""

import functools
import os
import pathlib

import pytest

from caffe_gradcam.batch import sources
from caffe_gradcam.batch.sources import reading
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema


@functools.lru_cache(maxsize=None)
def lmdb_file(path):
    """The bytes of an LMDB of six small Datums and one that fills pages of its own."""
    lmdb = pytest.importorskip("lmdb", reason="lmdb is not installed here")
    with lmdb.open(path, map_size=1 << 20) as environment, environment.begin(write=True) as writer:
        for number in range(7):
            datum = schema.new("Datum")
            datum.channels, datum.height, datum.width, datum.label = 3, 4, 5, 7
            if number == 6:
                datum.height, datum.width = 64, 64
            datum.data = bytes(3 * datum.height * datum.width)
            writer.put(b"%03d" % number, datum.SerializeToString())
    return (pathlib.Path(path) / "data.mdb").read_bytes()


def lmdb_images(path):
    """How many images there are, and the errors of the others."""
    count, errors = 0, []
    for item in sources.open_source(os.path.dirname(path)):
        try:
            reading.read_image(item)
            count += 1
        except InputError as error:
            errors.append(str(error))
    return count, errors
