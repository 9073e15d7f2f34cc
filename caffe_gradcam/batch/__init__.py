"""Explain folders, lists, tables and archives of images into part files of rows."""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caffe_gradcam.batch.options import (
        Drawing,
        Options,
        Parts,
        Pipeline,
        Ray,
        Reporting,
    )
    from caffe_gradcam.batch.row_batches import explain_batch
    from caffe_gradcam.batch.runs import Summary, run
    from caffe_gradcam.batch.sources import open_source

__all__ = ["Drawing", "Options", "Parts", "Pipeline", "Ray", "Reporting", "Summary",
           "explain_batch", "open_source", "run"]

# The module of each name, imported when the name is used: the processes of a run start often and
# need little of this package.
_HOMES = {"Summary": "runs", "explain_batch": "row_batches", "open_source": "sources",
          "run": "runs", **dict.fromkeys(
              ("Drawing", "Options", "Parts", "Pipeline", "Ray", "Reporting"), "options")}


class _Package(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        return getattr(importlib.import_module(self.__name__ + "." + _HOMES[name]), name)


sys.modules[__name__].__class__ = _Package
