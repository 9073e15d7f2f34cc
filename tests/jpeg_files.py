"""JPEGs of all kinds for tests."""

import struct

import cv2
import numpy as np


def ramp(height, width):
    """A smooth picture: blue tells the column, green the row, from 20 to 230."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[..., 0] = 20 + 210 * (np.arange(width) + 0.5) / width
    picture[..., 1] = (20 + 210 * (np.arange(height) + 0.5) / height)[:, np.newaxis]
    return picture


def encoded(picture, *flags):
    """A picture as a JPEG; the flags are OpenCV's."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95, *flags])[1].tobytes()


def is_reduced():
    """Whether this OpenCV decodes JPEGs in memory at a reduced size; 3.4.3 does not."""
    data = np.frombuffer(encoded(ramp(16, 16)), np.uint8)
    return len(cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2)) == 8


def progressive(picture):
    return encoded(picture, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def turned(data, orientation, order="<"):
    """A JPEG with an EXIF orientation."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    tiff = start + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def cmyk(picture):
    """A picture as a JPEG of four inks; skips where Pillow is missing."""
    import io

    import pytest

    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed here")
    file = io.BytesIO()
    image.fromarray(picture[..., ::-1]).convert("CMYK").save(file, "JPEG", quality=95)
    return file.getvalue()
