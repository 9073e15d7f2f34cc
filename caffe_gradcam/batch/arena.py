"""Memory that the decoders and the net share: large arrays never pass through a pipe."""

import io
import mmap
import os
import pickle
import tempfile

import numpy as np

from prototxt_tools.errors import InputError

# Smaller arrays travel in the message itself.
_SMALLEST = 1 << 12
_ALIGNMENT = 64


class Arena:
    """Slots of equal size in one block of shared memory without a name.

    Parameters
    ----------
    count, size : int
        Slots, and bytes of each.
    descriptor : int, optional
        Of an arena that another process made; else one is made.
    """

    def __init__(self, count, size, descriptor=None):
        self.count = count
        self.size = -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        total = self.count * self.size
        self.descriptor = _allocate(total) if descriptor is None else descriptor
        self._memory = mmap.mmap(self.descriptor, total)

    def dump(self, value, slot):
        """Put a value's arrays into a slot; gives the bytes that ``load`` makes it of again.

        Arrays for which there is no room any more go into those bytes.
        """
        start = slot * self.size
        stream = io.BytesIO()
        _Pickler(stream, memoryview(self._memory)[start:start + self.size]).dump(value)
        return stream.getvalue()

    def load(self, data, slot):
        """The value; its arrays are views of the slot, which must stay as it is meanwhile."""
        start = slot * self.size
        view = memoryview(self._memory)[start:start + self.size]
        return _Unpickler(io.BytesIO(data), view).load()

    def close(self):
        """Give the memory back; other processes keep theirs until they end."""
        os.close(self.descriptor)


class _Pickler(pickle.Pickler):
    def __init__(self, stream, room):
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self._room, self._used = room, 0

    def persistent_id(self, value):
        if type(value) is not np.ndarray or value.nbytes < _SMALLEST or value.dtype.hasobject:
            return None
        if self._used + value.nbytes > len(self._room):
            return None
        place = self._used
        target = np.frombuffer(self._room, value.dtype, value.size, place)
        target.reshape(value.shape)[...] = value
        self._used = -(-(place + value.nbytes) // _ALIGNMENT) * _ALIGNMENT
        return place, value.dtype.str, value.shape


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream, room):
        super().__init__(stream)
        self._room = room

    def persistent_load(self, key):
        place, kind, shape = key
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._room, np.dtype(kind), count, place).reshape(shape)


def _allocate(size):
    """A file without a name, in memory if there is room, that is as long as this."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("caffe-gradcam")
        os.ftruncate(descriptor, size)
        return descriptor
    for folder in ("/dev/shm", tempfile.gettempdir()):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                # Where memory is short writing would kill the process; so ask for all of it now.
                os.posix_fallocate(file.fileno(), 0, size)
                return os.dup(file.fileno())
        except OSError:
            continue
    raise InputError(f"no room for {size} bytes in /dev/shm or {tempfile.gettempdir()}; take a smaller --batch")
