"""TIFFs of several pages for tests."""

import cv2
import pytest


def write(path, pages):
    """Write pages to a file; skips where OpenCV cannot."""
    if not hasattr(cv2, "imwritemulti") or not cv2.imwritemulti(str(path), pages):
        pytest.skip("this OpenCV writes no TIFFs of several pages")
