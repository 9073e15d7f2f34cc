"""What tests of reports share."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium for the whole session."""
    from browser import open_browser

    driver = open_browser()
    yield driver
    driver.quit()
