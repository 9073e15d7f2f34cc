"""The page of a survey in a real browser, from a file."""

import pytest
from browser import accessibility_faults, complaints, requested
from outputs import explanation, items, rows_of, write

from caffe_gradcam.commands import cli

pytest.importorskip("jinja2", reason="jinja2 is not installed here")
pytest.importorskip("sklearn", reason="scikit-learn is not installed here")

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
BROKEN = "return [...document.images].filter((image) => !image.naturalWidth).length"


@pytest.fixture
def opened(browser, tmp_path):
    """The browser with the survey of 24 images; at the end, nothing was asked of any host."""
    several = items(tmp_path / "pictures", 24)
    names = (HOSTILE, "dog", "owl")
    rows = [rows_of(item, true_label=number % 5, explanations=[
        explanation(0, [(0, 0), (3, 5)][number % 2], names=names)])
        for number, item in enumerate(several)]
    out = write(tmp_path / "out", several, rows, class_names=names)
    (tmp_path / "boxes.csv").write_text("path,class,x,y,width,height\n0000.png,0,40,30,40,30\n")
    assert cli.main(["survey", str(out), "-q", "--maps-only", "--boxes",
                     str(tmp_path / "boxes.csv")]) == 0
    browser.get("about:blank")
    complaints(browser), requested(browser)
    browser.get((out / "survey.html").as_uri())
    yield browser
    assert complaints(browser) == []
    assert {url.split(":")[0] for url in requested(browser)} <= {"file", "data"}


def test_clusters_stand_with_their_pictures(opened):
    assert len(opened.find_elements("css selector", ".cluster")) == 2
    assert len(opened.find_elements("css selector", ".cluster .strip img")) == 12
    assert opened.execute_script(BROKEN) == 0
    assert "mean around the objects" in opened.find_element("tag name", "main").text


def test_names_are_texts(opened):
    assert opened.find_element("id", "class-0").text == HOSTILE
    assert opened.execute_script("return document.scripts.length") == 0


def test_the_page_has_no_serious_fault_of_accessibility(opened):
    assert accessibility_faults(opened) == []
