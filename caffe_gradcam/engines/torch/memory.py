"""What the C library does with memory that torch lets go."""

import ctypes
import sys

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest that glibc takes for the one, and for the other.
KEPT, FROM_HEAP = (1 << 31) - 1, 32 << 20


def keep_freed() -> None:
    """Let this process keep the memory of freed blobs for the next ones.

    glibc gives large blocks back to the system as they are freed, and every blob then begins
    with the page faults of a new one: a fifth of the time of a forward pass. What is kept is
    at most what was in use at one time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, FROM_HEAP)
