"""The versions of libraries, without importing them."""

import sys
from typing import Optional


def of_distribution(name: str) -> Optional[str]:
    """The version of an installed distribution; None where there is none.

    Python 3.7 and older know only what is imported already.
    """
    try:
        from importlib import metadata
    except ImportError:
        module = sys.modules.get(name)
        return None if module is None else str(getattr(module, "__version__", "unknown"))
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
