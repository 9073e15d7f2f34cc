"""Evidence: one archive of everything that a batch came to, which can be checked by itself."""

from .verifying import verify
from .writing import write

__all__ = ["verify", "write"]
