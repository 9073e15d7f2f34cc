"""Every reader reads what a file holds or refuses it: nothing else, whatever the file.

Each test damages valid files. ``read`` fails where a reader raises anything but an InputError of
one line, takes longer than ``MOST_SECONDS``, or takes more memory than ``MOST_MEMORY``.
"""

import os
import resource
import time

from hypothesis import HealthCheck, settings

from prototxt_tools.errors import InputError

# The same examples in every run of the suite, so that it never fails by chance; others on request.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 40))
MOST_SECONDS = 20
MOST_MEMORY = 512 << 10  # KiB

fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None, suppress_health_check=list(HealthCheck))


def read(reader, path):
    """Whether a reader accepts a file; raises what it must not raise."""
    start, before = time.monotonic(), _most_memory()
    try:
        reader(str(path))
        return True
    except InputError as error:
        message = str(error).replace(str(path), "FILE")
        assert message and "\n" not in message and len(message) < 2000, message
        return False
    finally:
        seconds, memory = time.monotonic() - start, _most_memory() - before
        assert seconds < MOST_SECONDS, f"{seconds:.0f} seconds"
        assert memory < MOST_MEMORY, f"{memory >> 10} MiB"


def _most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
