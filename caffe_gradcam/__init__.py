"""What a Caffe net looked at: Grad-CAM on real Caffe or on the embedded torch engine."""

from prototxt_tools import __version__

__all__ = ["__version__"]
