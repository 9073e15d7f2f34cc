"""Explain folders, lists, tables, LMDBs and tars of images into part files of rows."""

import importlib
import sys
import types

# What the package offers, and where it is: taken from there when somebody asks, since a run's
# processes need little of it and start often.
_HOMES = {"Summary": "runs", "explain_batch": "dataflow", "run": "runs"}
__all__ = sorted(_HOMES)


class _Package(types.ModuleType):
    def __getattr__(self, name):
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        return getattr(importlib.import_module(self.__name__ + "." + _HOMES[name]), name)


sys.modules[__name__].__class__ = _Package
