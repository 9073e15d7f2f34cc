"""Letters beyond ASCII in pictures."""

import logging

import numpy as np
import pytest

from caffe_gradcam.pictures.render import fonts, text

pytest.importorskip("PIL", reason="Pillow is not installed here")

STYLE = text.TITLE


@pytest.fixture(autouse=True)
def without_hints(monkeypatch):
    monkeypatch.setattr(fonts, "_hinted", [])


@pytest.fixture
def no_system_fonts(monkeypatch):
    """Pillow's own font alone."""
    from PIL import ImageFont

    try:
        ImageFont.load_default(12)
    except TypeError:
        pytest.skip("this Pillow has no font of its own in all sizes")
    for cached in (fonts._candidates, fonts._font_of):
        cached.cache_clear()
    monkeypatch.setattr(fonts.os, "walk", lambda folder: [])
    yield
    for cached in (fonts._candidates, fonts._font_of):
        cached.cache_clear()


def drawn(line):
    picture = np.full((50, 300, 3), 255, np.uint8)
    text.write(picture, line, (10, 34), STYLE)
    return picture


def test_letters_lose_their_accents_where_no_font_has_them(no_system_fonts):
    assert text.drawable("für élan ½") == "fur elan ?"


def test_letters_with_accents_are_drawn_as_they_are():
    if not fonts._has(fonts._font_of("ü", False), "ü"):
        pytest.skip("no font with accents is installed here")
    assert text.drawable("für élan") == "für élan"
    assert (drawn("für") != drawn("fur")).any()


def test_ascii_is_drawn_as_before_whatever_fonts_there_are():
    assert text.drawable("tabby 93.1 %") == "tabby 93.1 %"
    assert text.width("tabby", STYLE) == text.width("tabby", text.Style(STYLE.scale, (0, 0, 0), 2))


def test_a_letter_of_no_font_is_a_question_mark_with_one_hint(no_system_fonts, caplog):
    with caplog.at_level(logging.WARNING):
        assert text.drawable("猫 tabby 犬") == "? tabby ?"
        assert text.drawable("한") == "?"
    assert [record.getMessage() for record in caplog.records] == [
        "no font of this machine has the letter U+732B (cjk unified ideograph-732b); install one, "
        "such as Debian's package fonts-noto-cjk"]


def test_without_pillow_letters_are_ascii_with_one_hint(monkeypatch, caplog):
    import sys

    monkeypatch.setitem(sys.modules, "PIL.ImageFont", None)
    with caplog.at_level(logging.WARNING):
        assert text.drawable("für 猫") == "fur ?"
        assert text.drawable("élan") == "elan"
    assert len(caplog.records) == 1 and "pip install pillow" in caplog.records[0].getMessage()


def test_control_characters_are_never_drawn(no_system_fonts):
    assert text.drawable("ä\n\x1b\u202e") == "a???"


def test_the_ink_has_the_height_and_the_width_that_are_announced(no_system_fonts):
    ink, (x, y) = fonts.ink("HIM", 20, False)
    rows, columns = np.nonzero(ink > 0.5)
    assert columns.min() == pytest.approx(x, abs=4)
    assert columns.max() == pytest.approx(x + fonts.width("HIM", 20, False), abs=4)
    assert rows.max() == y - 1 and y - rows.min() == pytest.approx(20, abs=2)


def test_text_beyond_the_edge_is_not_drawn(no_system_fonts, monkeypatch):
    picture = np.full((20, 40, 3), 255, np.uint8)
    monkeypatch.setattr(text, "_is_ascii", lambda line: False)
    for origin in ((-10, 10), (30, 25), (100, 200)):
        text.write(picture, "wait", origin, STYLE)
    assert picture.shape == (20, 40, 3)


def test_each_letter_has_a_font_of_its_own_kind():
    if not fonts._has(fonts._font_of("猫", False), "猫"):
        pytest.skip("no font with Chinese letters is installed here")
    assert (drawn("猫") != drawn("犬")).any()
    assert text.drawable("猫 é") == "猫 é"
