"""Imports what nearly every check needs, once, since the checks' processes are forked.

Nothing here may touch CUDA, which does not survive a fork.
"""

try:
    import torch  # noqa: F401

    import gpu_checks.product  # noqa: F401
except ImportError:
    pass  # Each check that needs it says so.
