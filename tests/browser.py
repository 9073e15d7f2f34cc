"""A headless Chromium for tests of pages."""

import json
import os
import shutil
import tempfile

import pytest

OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--window-size=1280,900")


def open_browser():
    """Selenium's driver; a skip where there is no browser."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed here")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no Chromium with ChromeDriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in OPTIONS:
        options.add_argument(option)
    options.add_argument("--user-data-dir=" + tempfile.mkdtemp(prefix="test-browser-"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver))


def complaints(driver):
    """What the page wrote to the console."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requested(driver):
    """The addresses that the page has asked for since this was called last.

    Those of the browser's own start page are none of the page's: they come at any time.
    """
    messages = [json.loads(entry["message"])["message"]
                for entry in driver.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("chrome:")]


def wait(driver, condition, seconds=30):
    """Wait until a script's expression is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.05).until(
        lambda _: driver.execute_script("return " + condition))


def axe_source():
    """The script of axe-core; a skip where npm cannot install it."""
    import subprocess

    folder = os.path.join(os.path.expanduser("~"), ".cache", "axe")
    script = os.path.join(folder, "node_modules", "axe-core", "axe.min.js")
    if not os.path.isfile(script):
        if shutil.which("npm") is None:
            pytest.skip("axe-core needs npm, which is not installed here")
        os.makedirs(folder, exist_ok=True)
        result = subprocess.run(["npm", "install", "--silent", "axe-core"], cwd=folder,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if result.returncode != 0 or not os.path.isfile(script):
            pytest.skip("npm cannot install axe-core here")
    with open(script, encoding="utf-8") as file:
        return file.read()


def accessibility_faults(driver):
    """The serious findings of axe-core on the page, as it is shown now."""
    # Policies forbid scripts of others; the browser's debugger may run them all the same.
    driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe_source() + ";0"})
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run().then((result) => done(result.violations))")
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in found
            if fault["impact"] in ("serious", "critical")]
