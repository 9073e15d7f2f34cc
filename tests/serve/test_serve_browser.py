"""The server's page in a real browser."""

import time

import pytest
from browser import accessibility_faults, complaints, requested, wait

NOT_BUSY = "document.getElementById('busy').textContent === ''" \
    " && document.querySelectorAll('.views figure').length > 0"


@pytest.fixture(scope="module")
def opened(browser, server, models):
    """The page with a photograph; at the end, nothing was asked of any other host."""
    browser.get("about:blank")
    complaints(browser), requested(browser)
    browser.get(server)
    wait(browser, "document.documentElement.dataset.ready === 'yes'")
    scene = models / "digits" / "scenes" / "2-7.png"
    browser.find_element("id", "file").send_keys(str(scene))
    wait(browser, NOT_BUSY, 120)
    yield browser
    assert complaints(browser) == []
    assert all(url.startswith((server, "data:", "blob:", "about:")) for url in requested(browser))


def captions(browser):
    return [caption.text for caption in browser.find_elements("css selector", "figcaption")]


def ask(browser, button, count):
    browser.find_element("id", button).click()
    settle(browser, count)


def settle(browser, count):
    wait(browser, NOT_BUSY + f" && document.querySelectorAll('.views figure').length === {count}",
         120)


def set_value(browser, control, value):
    browser.execute_script("document.getElementById(arguments[0]).value = arguments[1]",
                           control, str(value))


def test_before_a_photograph_nothing_is_offered(browser, server):
    browser.get(server)
    wait(browser, "document.documentElement.dataset.ready === 'yes'")
    for hidden in ("looks", "repeat", "message", "ask-place"):
        assert not browser.find_element("id", hidden).is_displayed()
    assert not browser.find_element("id", "ask").is_enabled()


def test_a_photograph_has_an_answer(opened):
    assert captions(opened)[0].startswith("2 two 95.0 %")
    assert opened.find_element("css selector", ".top button").text.split() == ["two", "95.0", "%"]
    assert "--class top:1 --method grad-cam" in opened.find_element("id", "command").text


def test_a_class_is_asked_about_by_a_click(opened):
    opened.find_elements("css selector", ".top button")[1].click()
    wait(opened, "document.querySelector('figcaption').textContent.startsWith('7 seven')", 120)
    assert opened.find_elements("css selector", ".top button")[1].get_attribute(
        "aria-pressed") == "true"


def test_two_methods_stand_side_by_side(opened):
    set_value(opened, "other", "layer-cam")
    ask(opened, "ask", 2)
    assert "grad-cam at" in captions(opened)[0] and "layer-cam at" in captions(opened)[1]
    set_value(opened, "other", "")
    ask(opened, "ask", 1)


def test_one_class_is_asked_about_against_another(opened):
    set_value(opened, "class", "two")
    set_value(opened, "against", "seven")
    opened.find_element("id", "ask").click()
    wait(opened, "document.querySelector('figcaption').textContent.includes('versus')", 120)
    assert captions(opened)[0].startswith("2 two versus 7 seven")
    set_value(opened, "against", "")
    set_value(opened, "class", "")
    opened.find_element("id", "ask").click()
    wait(opened, "!document.querySelector('figcaption').textContent.includes('versus')", 120)


def test_a_rectangle_is_dragged_and_asked_about(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = opened.find_element("css selector", ".source canvas")
    size = canvas.size
    left, top = -size["width"] // 2, -size["height"] // 2
    ActionChains(opened).move_to_element_with_offset(
        canvas, left + 2, top + int(0.22 * size["height"])).click_and_hold().move_by_offset(
            int(0.7 * size["width"]), int(0.7 * size["height"])).release().perform()
    settle(opened, 2)
    assert captions(opened)[1].startswith("7 seven") and "of the part at" in captions(opened)[1]
    assert "--crop" in opened.find_element("id", "command").text
    assert opened.find_element("id", "answer-title").text == "Answer about the part"


def test_a_part_is_asked_about_by_numbers(opened):
    for control, value in zip(("x", "y", "width", "height"), (0, 20, 68, 68)):
        set_value(opened, control, value)
    opened.find_element("id", "ask-part").click()
    wait(opened, "document.getElementById('command').textContent.includes('--crop 0,20,68,68')",
         120)


def test_a_layer_of_the_net_shows_its_map(opened):
    row = opened.find_element("css selector", "#net button")
    name = row.text
    opened.execute_script("arguments[0].click()", row)
    wait(opened, f"document.querySelector('figcaption').textContent.includes('at {name}')", 120)
    opened.execute_script("document.getElementById('layer').value = ''")
    ask(opened, "ask", 1)


def test_the_opacity_changes_the_picture(opened):
    settle(opened, 1)
    draw = "return document.querySelector('.source canvas').toDataURL()"
    before = opened.execute_script(draw)
    opened.execute_script("const range = document.getElementById('opacity'); range.value = 5;"
                          "range.dispatchEvent(new Event('input'))")
    time.sleep(0.1)
    assert opened.execute_script(draw) != before


def test_an_error_is_shown_in_words(opened):
    set_value(opened, "class", "dragon")
    opened.find_element("id", "ask").click()
    wait(opened, "!document.getElementById('message').hidden", 60)
    assert "dragon" in opened.find_element("id", "message").text
    # The browser itself reports answers that are errors.
    assert all("400" in sentence for sentence in complaints(opened))
    set_value(opened, "class", "")
    ask(opened, "ask", 1)


def test_axe_has_nothing_serious_to_say(opened):
    assert accessibility_faults(opened) == []
