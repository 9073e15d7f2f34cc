"""The text that a figure's file carries, and what it protects."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from caffe_gradcam.pictures import figures, metadata
from prototxt_tools.errors import InputError

PIXELS = np.random.RandomState(0).randint(0, 256, (33, 45, 3)).astype(np.uint8)
FACTS = {"recipe": {"model": {"path": 'caf\u00e9 (1) \\ "x"'}}}


def encoded(extension, digest="a" * 64):
    return figures.encode("figure." + extension, PIXELS, metadata.text_of(digest, FACTS))


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_the_text_changes_no_pixel(extension):
    plain = figures.encode("figure." + extension, PIXELS)
    assert np.array_equal(decoded(encoded(extension)), decoded(plain))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "svg", "pdf"])
def test_the_digest_is_read_back(extension):
    if extension in ("svg", "pdf"):
        pytest.importorskip("matplotlib", reason="vector figures need Matplotlib")
    assert metadata.digest_of(encoded(extension)) == "a" * 64
    assert metadata.digest_of(figures.encode("figure." + extension, PIXELS)) is None


def test_pillow_reads_the_recipe_of_a_png():
    Image = pytest.importorskip("PIL.Image")
    with Image.open(io.BytesIO(encoded("png"))) as image:
        image.load()  # checks the chunk's checksum
        assert json.loads(image.text["caffe-gradcam"])["recipe"] == FACTS["recipe"]


def test_a_comment_that_is_too_long_for_a_jpeg_is_cut():
    data = metadata.embed(
        figures.encode("x.jpg", PIXELS), "jpg", metadata.text_of("b" * 64, {"x": "y" * 99999}))
    assert metadata.digest_of(data) == "b" * 64 and decoded(data).shape == PIXELS.shape


def test_a_figure_of_the_same_recipe_is_replaced(tmp_path):
    path = str(tmp_path / "figure.png")
    figures.write(path, encoded("png"))
    brighter = figures.encode(path, PIXELS // 2 + 100, metadata.text_of("a" * 64, FACTS))
    figures.write(path, brighter)
    assert (tmp_path / "figure.png").read_bytes() == brighter


@pytest.mark.parametrize("present", [b"a picture of somebody else's", encoded("png", "c" * 64)])
def test_a_figure_of_another_recipe_is_refused_and_kept(tmp_path, present):
    path = tmp_path / "figure.png"
    path.write_bytes(present)
    with pytest.raises(InputError, match="figure.png: was made from another image or with other "
                                         "options; remove it, or write to another folder"):
        figures.write(str(path), encoded("png"))
    assert path.read_bytes() == present


def test_an_archive_carries_its_text_as_a_comment():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"caffe-gradcam " + metadata.text_of("d" * 64, FACTS).encode()
    assert metadata.digest_of(file.getvalue()) == "d" * 64


@pytest.mark.parametrize("extension", ["png", "webp"])
def test_a_large_figure_is_recognised_by_its_ends(tmp_path, extension):
    noise = np.random.RandomState(0).randint(0, 256, (1200, 1000, 3)).astype(np.uint8)
    path = str(tmp_path / ("figure." + extension))
    data = figures.encode(path, noise, metadata.text_of("a" * 64, FACTS))
    assert len(data) > 3 << 20
    figures.write(path, data)
    figures.write(path, data)
    with pytest.raises(InputError, match="was made from another image"):
        figures.write(path, figures.encode(path, noise, metadata.text_of("b" * 64, FACTS)))
