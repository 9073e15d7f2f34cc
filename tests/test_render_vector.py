"""SVG and PDF, read back."""

import base64
import sys
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest

from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render.vector import vector
from prototxt_tools.errors import InputError

HEAT = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (320, 1))
IMAGE = np.random.RandomState(0).randint(0, 256, (320, 400, 3)).astype(np.uint8)


def sheet(title="title"):
    return render.side_by_side(IMAGE, HEAT, title, "grad-cam at conv5")


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib", reason="vector figures need Matplotlib")


def svg(drawn):
    return ElementTree.fromstring(vector(drawn, "svg").decode("utf-8"))


def texts(root):
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_text_stays_text_in_any_language(matplotlib):
    label = u"K\u00e4tzchen \u732b <b> & $5 or $6"
    assert texts(svg(sheet(label))) == ["1", "0.5", "0", label, "grad-cam at conv5"]


def test_text_that_does_not_fit_is_cut_with_dots(matplotlib):
    shown = texts(svg(sheet("label " * 99)))[3]
    assert shown.startswith("label label") and shown.endswith("...") and len(shown) < 120


def test_what_xml_cannot_hold_becomes_a_question_mark(matplotlib):
    assert texts(svg(sheet("a\x00b\nc\udcff")))[3] == "a?b?c?"


def test_the_pictures_are_embedded_pixel_by_pixel(matplotlib):
    link = "{http://www.w3.org/1999/xlink}href"
    embedded = []
    for image in svg(sheet()).iter("{http://www.w3.org/2000/svg}image"):
        data = base64.b64decode(image.get(link).split(",", 1)[1])
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        # Matplotlib may store a picture upside down and turn it in the drawing.
        embedded.append(decoded)
    overlay = render.overlay(IMAGE, HEAT)
    for expected in (IMAGE, overlay):
        assert any(
            np.array_equal(picture, expected) or np.array_equal(picture[::-1], expected)
            for picture in embedded
        )


def test_the_picture_stands_upright_with_hot_red(matplotlib):
    from caffe_gradcam.pictures.render.vector import _plot

    figure = _plot(sheet())
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    seen = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)
    drawn = render.draw(sheet())[:, :, ::-1].astype(int)
    assert seen.shape == drawn.shape
    assert np.abs(seen[20:330, 20:410] - drawn[20:330, 20:410]).mean() < 1
    assert np.abs(seen[20:330, 430:820] - drawn[20:330, 430:820]).mean() < 1


def test_a_pdf_embeds_its_font(matplotlib):
    data = vector(sheet(), "pdf")
    assert data.startswith(b"%PDF-") and b"/FontFile2" in data


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_the_same_sheet_gives_the_same_bytes(matplotlib, kind):
    assert vector(sheet(), kind) == vector(sheet(), kind)


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="SVG figures need Matplotlib; run: pip install"):
        vector(sheet(), "svg")


def test_another_format_is_refused():
    with pytest.raises(InputError, match="no vector format 'eps'"):
        vector(sheet(), "eps")
