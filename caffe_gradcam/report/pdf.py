"""A page as PDF, printed by Chromium."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from prototxt_tools.errors import InputError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
             "microsoft-edge")
_OPTIONS = ("--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-pdf-header-footer", "--virtual-time-budget=600000")
_SECONDS = 600


def find_browser() -> str:
    """The path of Chromium, or of a browser made from it; raises InputError without one."""
    for name in _BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise InputError("--pdf needs Chromium; install it (on Debian and Ubuntu: apt-get install "
                     "chromium), or print the page from any browser", "chromium")


def write(page: str, path: str) -> None:
    """Print a page that this package wrote into a PDF file.

    Raises
    ------
    InputError
        There is no Chromium, or it fails.
    """
    command = [find_browser(), *_OPTIONS]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to sandbox what root runs.
    with tempfile.TemporaryDirectory(prefix="caffe-gradcam-") as folder:
        printed = os.path.join(folder, "report.pdf")
        command += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}",
                    pathlib.Path(os.path.abspath(page)).as_uri() + "#print"]
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{path}: Chromium failed: {error}", path) from None
        if not os.path.isfile(printed):
            raise InputError(f"{path}: Chromium printed nothing; print the page from a browser",
                             path)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        shutil.move(printed, path)
