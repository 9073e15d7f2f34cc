"""The page in a real browser, from a file."""

import os
import time

import cv2
import numpy as np
import pytest
from browser import accessibility_faults, complaints, requested, wait
from outputs import explanation, items, pets, rows_of, write

from caffe_gradcam.report import page, pdf, thumbnails
from caffe_gradcam.report.entries import ImageEntry, Report
from caffe_gradcam.report.output import Output

pytest.importorskip("jinja2", reason="jinja2 is not installed here")

SHOWN = "[...document.querySelectorAll('.tile .file')].map((file) => file.textContent)"


@pytest.fixture(scope="module")
def report_of_pets(tmp_path_factory):
    """The report of four pets, with boxes."""
    folder = tmp_path_factory.mktemp("pets")
    (folder / "boxes.csv").write_text(
        "path,class,x,y,width,height\n0000.png,0,0,0,40,40\n0001.png,0,60,40,20,20\n")
    output = Output(str(pets(folder)), str(folder / "boxes.csv"))
    page.write(str(folder / "report.html"), output.report, output.entries(64))
    return folder / "report.html"


@pytest.fixture
def opened(browser, report_of_pets):
    """The browser with that report; at the end, nothing was asked of any host."""
    open_page(browser, report_of_pets)
    yield browser
    assert complaints(browser) == []
    assert {url.split(":")[0] for url in requested(browser)} <= {"file", "data", "blob"}


def open_page(browser, path):
    browser.get("about:blank")
    complaints(browser), requested(browser)
    browser.get(path.as_uri())
    wait(browser, "document.documentElement.dataset.ready === 'yes'")


def choose(browser, control, value):
    browser.execute_script(
        "const control = document.getElementById(arguments[0]); control.value = arguments[1];"
        "control.dispatchEvent(new Event('input'));", control, value)


def shown(browser):
    return browser.execute_script("return " + SHOWN)


def pixels(browser, selector):
    return browser.execute_script(
        "return document.querySelector(arguments[0])?.toDataURL()", selector)


def test_all_pictures_are_shown_with_heat(opened):
    wait(opened, "document.querySelectorAll('.tile canvas').length === 3")
    assert shown(opened) == ["0000.png", "0001.png", "0002.png", "0003.png"]
    assert "✗ true: owl" in opened.find_elements("css selector", ".tile")[2].text


@pytest.mark.parametrize("control, value, names", [
    ("show", "wrong", ["0002.png"]),
    ("show", "right", ["0000.png", "0001.png"]),
    ("show", "bad", ["0003.png"]),
    ("show", "outside", ["0001.png"]),
    ("true", "2", ["0002.png"]),
    ("answer", "0", ["0000.png", "0001.png"]),
    ("search", "0001", ["0001.png"]),
    ("sort", "unsure", ["0002.png", "0001.png", "0000.png", "0003.png"]),
    ("sort", "mistakes", ["0002.png", "0000.png", "0001.png", "0003.png"]),
    ("sort", "outside", ["0001.png", "0000.png", "0002.png", "0003.png"]),
])
def test_filters_and_orders(opened, control, value, names):
    choose(opened, control, value)
    assert shown(opened) == names
    count = opened.find_element("id", "count").text
    assert count == ("4 images" if len(names) == 4 else f"{len(names)} of 4 images")


def test_controls_without_a_choice_are_not_shown(browser, tmp_path):
    several = items(tmp_path / "pictures", 1)
    folder = write(tmp_path / "out", several, [rows_of(several[0])])
    output = Output(str(folder))
    page.write(str(tmp_path / "report.html"), output.report, output.entries(64))
    open_page(browser, tmp_path / "report.html")
    displayed = {control: browser.find_element("id", control).is_displayed()
                 for control in ("true", "answer", "rank", "kind", "sort")}
    assert displayed == {"true": False, "answer": True, "rank": False, "kind": False, "sort": True}


def test_a_cell_of_the_matrix_shows_its_images(opened):
    opened.find_element("css selector", "[data-true='2'][data-answer='1']").click()
    assert shown(opened) == ["0002.png"]
    opened.find_element("id", "clear").click()
    assert len(shown(opened)) == 4


def test_the_large_picture_has_switches_and_numbers(opened):
    opened.find_element("css selector", ".tile").click()
    wait(opened, "document.getElementById('large').open")
    wait(opened, "document.getElementById('large-canvas').heat")
    numbers = opened.find_element("id", "numbers").text
    assert "Answer cat" in numbers and "Score 4.5" in numbers and "90.0 %" in numbers
    before = pixels(opened, "#large-canvas")
    choose(opened, "large-map", "1")
    wait(opened, "document.getElementById('numbers').textContent.includes('1 dog')")
    time.sleep(0.2)
    other = pixels(opened, "#large-canvas")
    assert other != before
    choose(opened, "large-opacity", "10")
    time.sleep(0.2)
    assert pixels(opened, "#large-canvas") != other
    raw = opened.execute_script(
        "return [...document.querySelectorAll('#raw-cells tr')].map((row) => row.cells.length)")
    assert raw == [8] * 6
    opened.find_element("id", "close").click()


def test_the_page_works_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        for key in keys:
            opened.switch_to.active_element.send_keys(key)

    def focused():
        return opened.execute_script("return document.activeElement.innerText")

    opened.execute_script("document.querySelector('.tile').focus()")
    press(Keys.ARROW_RIGHT)
    assert "0001.png" in focused()
    press(Keys.END)
    assert "0003.png" in focused()
    press(Keys.HOME, Keys.ENTER)
    wait(opened, "document.getElementById('large').open")
    press(Keys.ARROW_RIGHT)
    wait(opened, "document.getElementById('large-title').textContent === '0001.png'")
    press(Keys.ESCAPE)
    wait(opened, "document.activeElement.innerText.includes('0001.png')")


def test_axe_has_nothing_serious_to_say(opened):
    assert accessibility_faults(opened) == []
    opened.find_element("css selector", ".tile").click()
    wait(opened, "document.getElementById('large-canvas').heat")
    assert accessibility_faults(opened) == []
    opened.find_element("id", "close").click()


def test_hostile_names_run_nothing(browser, tmp_path):
    name = "</script><img src=x onerror=\"window.broken = 1\"><script>window.broken = 2</script>"
    several = items(tmp_path / "pictures", 1)
    rows = [rows_of(several[0], "ok", 0, 0, [explanation(0, names=(name,))], note=name, id=name)]
    folder = write(tmp_path / "out", several, rows, class_names=(name,))
    output = Output(str(folder))
    page.write(str(tmp_path / "report.html"), output.report, output.entries(64))
    open_page(browser, tmp_path / "report.html")
    browser.find_element("css selector", ".tile").click()
    wait(browser, "document.getElementById('large-canvas').heat")
    assert browser.execute_script("return window.broken") is None
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert name in browser.find_element("id", "numbers").text
    assert complaints(browser) == []


def test_two_thousand_pictures_open_within_two_seconds(browser, tmp_path):
    """By the browser's own clock, from the start of the navigation to the first pictures."""
    noise = np.random.RandomState(0).randint(60, 200, (56, 56, 3)).astype(np.uint8)
    picture = thumbnails.to_jpeg(cv2.resize(noise, (224, 168)), 224)
    assert len(picture) > 10000
    maps = [thumbnails.of_explanation(explanation(0))]
    entries = [ImageEntry(number, str(number), f"{number}.png", "ok", true_label=number % 3,
                          predicted=0, size=(60, 80), picture=picture, maps=maps)
               for number in range(2000)]
    path = tmp_path / "report.html"
    page.write(str(path), lambda summary: Report("Pets", "", summary), entries)
    seconds = []
    for _ in range(3):
        browser.get("about:blank")
        browser.get(path.as_uri())
        wait(browser, "document.querySelectorAll('.tile canvas').length > 4")
        seconds.append(browser.execute_script(
            "const [entry] = performance.getEntriesByType('navigation');"
            "return entry.domContentLoadedEventEnd / 1000"))
    assert browser.execute_script("return document.querySelectorAll('.tile').length") == 2000
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert min(seconds) < 2 * max(1, load), seconds


def test_the_keys_for_printing_draw_all_pictures_first(browser, tmp_path):
    several = items(tmp_path / "pictures", 40)
    output = Output(str(write(tmp_path / "out", several, [rows_of(item) for item in several])))
    page.write(str(tmp_path / "report.html"), output.report, output.entries(64))
    open_page(browser, tmp_path / "report.html")
    canvases = "document.querySelectorAll('.tile canvas').length"
    browser.execute_script(
        f"window.print = () => {{ window.drawn = {canvases}; }};"
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'p', ctrlKey: true}));")
    wait(browser, "window.drawn === 40")


def test_a_page_is_printed_with_all_pictures(browser, report_of_pets, tmp_path):
    pdf.write(str(report_of_pets), str(tmp_path / "report.pdf"))
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF") and data.count(b"/Image") >= 3
