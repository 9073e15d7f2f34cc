"""Image files of several pages are several images."""

import logging

import cv2
import numpy as np
import pytest
import tiff_files

from caffe_gradcam.batch.sources import open_source
from caffe_gradcam.batch.sources.reading import read_image
from caffe_gradcam.model import clip_files
from caffe_gradcam.model.preprocess import Preprocessing

PAGES = [np.full((20, 30, 3), 60 * shade, np.uint8) for shade in range(4)]


def shades(source):
    return [int(round(read_image(item).mean() / 60.0)) for item in open_source(str(source))]


@pytest.fixture
def tiff(tmp_path):
    path = tmp_path / "pages.tif"
    tiff_files.write(path, PAGES)
    return path


def test_each_page_of_a_tiff_is_an_image_and_that_is_told(tiff, caplog):
    with caplog.at_level(logging.WARNING):
        items = list(open_source(str(tiff)))
    assert [item.path for item in items] == [f"{tiff}/page-{page}" for page in (1, 2, 3, 4)]
    assert "has 4 pages; each is an image of its own" in caplog.text
    assert shades(tiff) == [0, 1, 2, 3]


def test_each_frame_of_an_animated_gif_is_an_image(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed here")
    path = tmp_path / "frames.gif"
    clip_files.write(str(path), PAGES)
    assert shades(path) == [0, 1, 2, 3]


def test_pages_of_sixteen_bits_take_the_value_range_of_the_net(tmp_path):
    path = tmp_path / "deep.tif"
    tiff_files.write(path, [np.full((6, 8, 3), 1000 * page, np.uint16) for page in range(3)])
    inputs = {"data": Preprocessing(size=(6, 8), value_range=(0, 2000))}
    assert [int(read_image(item, inputs)[0, 0, 0]) for item in open_source(str(path))] == [
        0, 128, 255]


def test_pages_in_a_folder_count_as_well(tiff):
    cv2.imwrite(str(tiff.parent / "single.png"), PAGES[3])
    assert shades(tiff.parent) == [0, 1, 2, 3, 3]


def test_a_tiff_of_one_page_is_one_image(tmp_path):
    path = tmp_path / "single.tif"
    cv2.imwrite(str(path), PAGES[2])
    item, = open_source(str(path))
    assert item.path == str(path)


@pytest.mark.parametrize("data", [
    b"II*\0\x08\0\0\0", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", b"GIF89a", b"GIF89a" + b"\x80" * 7,
    b"GIF89a\1\0\1\0\0\0\0\x2c"])
def test_a_damaged_table_of_contents_leaves_one_image_or_ends(tmp_path, data):
    path = tmp_path / ("x.gif" if data.startswith(b"GIF") else "x.tif")
    path.write_bytes(data)
    assert len(list(open_source(str(path)))) == 1
