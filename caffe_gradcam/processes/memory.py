"""Memory that two processes see: large arrays never pass through a pipe."""

import io
import mmap
import os
import pickle
import tempfile
from typing import Any, Optional, Tuple

import numpy as np

from prototxt_tools.errors import OutOfMemory

# Smaller arrays travel in the message itself; bytes.
SMALL = 1 << 12
ALIGNMENT = 64

Location = Tuple[int, str, Tuple[int, ...]]


class SharedMemory:
    """Slots of equal size in one block of shared memory that has no name.

    Parameters
    ----------
    count : int
        Slots.
    size : int
        Bytes of each. 0, with one slot: as many as the largest message needs.
    descriptor : int, optional
        The file descriptor of a block that another process made, inherited from it. Without it
        a new block is made.

    Raises
    ------
    OutOfMemory
        There is no room for so much.
    """

    def __init__(self, count: int = 1, size: int = 0, descriptor: Optional[int] = None) -> None:
        if not size and count != 1:
            raise ValueError("only a single slot can grow")
        self._grows = not size
        self.count = count
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self.descriptor = _new_file(count * self.size) if descriptor is None else descriptor
        self._memory = self._mapped()

    def dump(self, value: Any, slot: int = 0) -> bytes:
        """Put a value's arrays into a slot; gives the bytes from which ``load`` makes it again.

        Arrays for which a slot of fixed size has no room go into those bytes. Raises OutOfMemory
        where a slot that grows cannot.
        """
        stream = io.BytesIO()
        _Pickler(stream, self, slot * self.size).dump(value)
        return stream.getvalue()

    def load(self, data: bytes, slot: int = 0, copy: bool = False) -> Any:
        """The value; without `copy` its arrays are views that last until the slot's next value."""
        if self._grows and os.fstat(self.descriptor).st_size > len(self._memory):
            self._memory = self._mapped()
        return _Unpickler(io.BytesIO(data), self, slot * self.size, copy).load()

    def close(self) -> None:
        """Give the memory back; other processes keep theirs until they end."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self._memory, self.descriptor = b"", -1

    def view(self, offset: int, dtype: str, shape: Tuple[int, ...]) -> np.ndarray:
        """The array that begins at an offset of the block."""
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._memory, np.dtype(dtype), count, offset).reshape(shape)

    def reserve(self, start: int, end: int) -> bool:
        """Make room up to `end` in the slot that begins at `start`; whether there is any."""
        if end <= start + self.size:
            return True
        if not self._grows:
            return False
        size = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            # Space that cannot be had is an error here, and the end of the process later.
            os.posix_fallocate(self.descriptor, self.size, size - self.size)
        except OSError as error:
            raise OutOfMemory("the memory between the processes does not hold this batch; "
                              f"give a smaller one ({error})") from error
        self.size, self._memory = size, self._mapped()
        return True

    def _mapped(self) -> Any:
        """The block as it is now; earlier views stay what they are."""
        size = os.fstat(self.descriptor).st_size
        if self._grows:
            self.size = size
        return mmap.mmap(self.descriptor, size) if size else b""


class _Pickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, memory: SharedMemory, start: int) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self._memory, self._start, self._end = memory, start, start

    def persistent_id(self, value: Any) -> Optional[Location]:
        if type(value) is not np.ndarray or value.nbytes < SMALL:
            return None
        if value.dtype.hasobject or value.dtype.fields:
            return None
        offset = -(-self._end // ALIGNMENT) * ALIGNMENT
        if not self._memory.reserve(self._start, offset + value.nbytes):
            return None
        self._memory.view(offset, value.dtype.str, value.shape)[...] = value
        self._end = offset + value.nbytes
        return offset - self._start, value.dtype.str, value.shape


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, memory: SharedMemory, start: int, copy: bool) -> None:
        super().__init__(stream)
        self._memory, self._start, self._copy = memory, start, copy

    def persistent_load(self, location: Location) -> np.ndarray:
        offset, dtype, shape = location
        view = self._memory.view(self._start + offset, dtype, shape)
        return view.copy() if self._copy else view


def _new_file(size: int) -> int:
    """The descriptor of a file without a name, in memory if there is room, of this size."""
    if hasattr(os, "memfd_create"):  # Python 3.8 and newer.
        descriptor = os.memfd_create("caffe-gradcam")
        os.ftruncate(descriptor, size)
        return descriptor
    # One that is to grow begins where there is room in any case.
    for folder in ("/dev/shm", tempfile.gettempdir()) if size else (tempfile.gettempdir(),):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                if size:
                    # Where memory is short writing would kill the process; ask for it now.
                    os.posix_fallocate(file.fileno(), 0, size)
                return os.dup(file.fileno())
        except OSError:
            continue
    raise OutOfMemory(f"there is no room for {size} bytes in /dev/shm or {tempfile.gettempdir()}; "
                      "take a smaller batch")
