"""Explain folders, lists, tables, LMDBs and tars of images into part files of rows."""

from caffe_gradcam.batch.job import Summary, run

__all__ = ["Summary", "run"]
