"""The items of a source, and encoded images to list, for tests."""

import cv2
import numpy as np

from caffe_gradcam.batch.sources import open_source


def items(source, **options):
    return list(open_source(str(source), **options))


def ids(source, **options):
    return [entry.id for entry in items(source, **options)]


def encoded(color, extension=".png"):
    return cv2.imencode(extension, np.full((4, 5, 3), color, np.uint8))[1].tobytes()
