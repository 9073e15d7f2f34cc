"""Arrays that go from process to process through memory that both see."""

import mmap
import os
import tempfile
from typing import NamedTuple, Tuple

import numpy as np

from prototxt_tools.errors import OutOfMemory

# Smaller arrays go with the message; bytes.
SMALL = 4096
ALIGNMENT = 64


class Place(NamedTuple):
    """Where an array of a message lies."""

    offset: int
    shape: Tuple[int, ...]
    dtype: str


class SharedMemory:
    """A file without a name that two processes map, for the arrays of the message under way.

    Parameters
    ----------
    file_descriptor : int, optional
        Of the other process's, inherited; without it, a new one.
    """

    def __init__(self, file_descriptor=None):
        self.file_descriptor = _new_file() if file_descriptor is None else file_descriptor
        self._memory = b""

    def pack(self, message):
        """The message with a ``Place`` for every array in its tuples, lists and dicts."""
        arrays = []
        packed = _replaced(message, np.ndarray, lambda array: self._placed(array, arrays))
        if arrays:
            self._reserve(_end(arrays[-1][0]))
            for place, array in arrays:
                self._view(place)[...] = array
        return packed

    def unpack(self, message, copy=True):
        """The message with its arrays; without `copy` they last until the next message."""
        def find(place):
            view = self._view(place)
            return view.copy() if copy else view

        size = os.fstat(self.file_descriptor).st_size
        if size > len(self._memory):
            self._memory = mmap.mmap(self.file_descriptor, size)
        return _replaced(message, Place, find)

    def close(self):
        self._memory = b""
        os.close(self.file_descriptor)

    def _placed(self, array, arrays):
        if array.nbytes < SMALL:
            return array
        begin = _end(arrays[-1][0]) if arrays else 0
        place = Place(-(-begin // ALIGNMENT) * ALIGNMENT, array.shape, array.dtype.str)
        arrays.append((place, array))
        return place

    def _reserve(self, size):
        if size > len(self._memory):
            try:
                # Space that cannot be had is an error here, and the end of the process later.
                os.posix_fallocate(self.file_descriptor, 0, size)
            except OSError as error:
                raise OutOfMemory("the memory between the processes does not hold this batch; "
                                  f"give a smaller one ({error})") from error
            self._memory = mmap.mmap(self.file_descriptor, size)

    def _view(self, place):
        count = int(np.prod(place.shape))
        return np.frombuffer(
            self._memory, place.dtype, count, place.offset).reshape(place.shape)


def _end(place):
    return place.offset + int(np.prod(place.shape)) * np.dtype(place.dtype).itemsize


def _new_file():
    if hasattr(os, "memfd_create"):  # Python 3.8 and newer.
        return os.memfd_create("caffe-gradcam")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _replaced(message, kind, replace):
    """The message with every value of a kind replaced."""
    if isinstance(message, kind):
        return replace(message)
    if isinstance(message, dict):
        return {key: _replaced(value, kind, replace) for key, value in message.items()}
    if type(message) in (tuple, list):
        return type(message)(_replaced(value, kind, replace) for value in message)
    return message
