"""Explain folders, lists, tables, LMDBs and tars of images into part files of rows."""

from caffe_gradcam.batch.flow import explain_batch
from caffe_gradcam.batch.job import Summary, run

__all__ = ["Summary", "explain_batch", "run"]
