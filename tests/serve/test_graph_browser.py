"""The net's graph beside the table of its layers, in a real browser."""

from browser import accessibility_faults, complaints, wait

ROW = "#net tr[data-blob=wide]"
ANSWERED = "document.querySelector('figcaption')?.textContent.includes('%s')"


def open_page(browser, address):
    complaints(browser)
    browser.get(address)
    wait(browser, "document.documentElement.dataset.ready === 'yes'")


def dots(browser):
    """For each row of the net, how far from the left its dots are."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#net tr')].map((row) =>"
        " [...row.querySelectorAll('svg[aria-hidden=true] circle')].map((dot) =>"
        " dot.getBoundingClientRect().left))")


def test_every_row_of_the_digits_has_a_dot_in_a_lane(browser, server):
    open_page(browser, server)
    assert [len(row) for row in dots(browser)] == [1] * 16
    # The layers 1x1 and 3x3 are branches of one block.
    assert len({left for left, in dots(browser)}) == 2
    assert complaints(browser) == []


def test_branches_lie_in_lanes_and_their_rows_show_maps(browser, branching, models):
    open_page(browser, branching)
    assert len({left for left, in dots(browser)}) == 3
    browser.find_element("id", "file").send_keys(str(models / "digits" / "scenes" / "2-7.png"))
    wait(browser, ANSWERED % "grad-cam at", 120)
    colour = f"return getComputedStyle(document.querySelector('{ROW} circle')).fill"
    before = browser.execute_script(colour)
    browser.execute_script(f"document.querySelector('{ROW} button').click()")
    wait(browser, ANSWERED % "at wide", 120)
    assert browser.execute_script(colour) != before
    assert accessibility_faults(browser) == []
    assert complaints(browser) == []
