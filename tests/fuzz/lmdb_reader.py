"""An LMDB to damage, and its reader in a child process, which a damaged one may kill."""

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
    lmdb = pytest.importorskip("lmdb", reason="lmdb is not installed here")
    datum = schema.new("Datum")
    datum.channels, datum.height, datum.width, datum.label = 3, 4, 5, 7
    datum.data = bytes(60)
    with lmdb.open(path, map_size=1 << 20) as environment, environment.begin(write=True) as writer:
        for number in range(20):
            writer.put(b"%03d" % number, datum.SerializeToString())
    return (pathlib.Path(path) / "data.mdb").read_bytes()


def lmdb_images(path):
    for item in sources.open_source(os.path.dirname(path)):
        try:
            reading.read_image(item)
        except InputError:
            pass


def exit_status_of_child(function, *arguments):
    """0 where it returns in a child process; a negative signal that ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            function(*arguments)
            code = 0
        finally:
            os._exit(code)
    status_word = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status_word) if os.WIFSIGNALED(status_word) else os.WEXITSTATUS(status_word)
