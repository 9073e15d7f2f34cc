"""Packages whose names are imported when they are first asked for.

Python 3.7 has ``__getattr__`` of modules for this (PEP 562). Python 3.6 does not, but there, too, a
module may be given a class of its own.
"""

import importlib
import sys
from types import ModuleType
from typing import Any, Dict, List


class LazyModule(ModuleType):
    """A package that imports what it exports on first use."""

    _sources: Dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        source = self._sources.get(name)
        if source is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = importlib.import_module(source)
        value = module if source == f"{self.__name__}.{name}" else getattr(module, name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        return sorted(set(super().__dir__()) | set(self._sources))


def export(package: str, sources: Dict[str, str]) -> None:
    """Let a package export names without importing anything yet.

    Parameters
    ----------
    package : str
        ``__name__`` of the package; called while it is imported.
    sources : dict
        Exported name -> the module that defines it, or that it is.

    Examples
    --------
    >>> export(__name__, {"Net": "prototxt_tools.net.net", "shapes": "prototxt_tools.shapes"})
    """
    module = sys.modules[package]
    module.__class__ = LazyModule
    module.__dict__["_sources"] = sources
