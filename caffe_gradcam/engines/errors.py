"""What the engines raise."""

from prototxt_tools.errors import InputError


class EngineError(InputError):
    """An engine cannot run this net, or stopped while it ran it."""


class OutOfMemory(EngineError):
    """The memory does not hold this batch; a smaller one may fit. The engine is still good."""
