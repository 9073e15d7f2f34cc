"""Every command in the documentation runs, and every link leads somewhere.

In fences marked ``sh`` each line is a command, run in order in a folder with ``models`` and with
some ``photographs``. Fences without a mark hold what cannot run here, and stand in ELSEWHERE with
the reason.
"""

import glob
import os
import re
import shlex
import shutil

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = sorted(os.path.relpath(path, ROOT) for folder in ("", "docs") for path in
               glob.glob(os.path.join(ROOT, folder, "*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
COMMANDS = ("caffe-gradcam", "prototxt-tools")
ELSEWHERE = {
    "prototxt-tools": "tests/test_help.py runs those of docs/prototxt.md, on files of its own",
    "caffe-gradcam serve": "serves until it is interrupted; tests/serve has servers of its own",
    "caffe-gradcam evaluate torchray-vgg16-voc07 --protocol":
        "needs VOC 2007; tests/test_protocol_cli.py has made-up pictures",
    "caffe-gradcam evaluate bvlc_googlenet --protocol": "needs ILSVRC 2012; likewise",
    "caffe-gradcam models fetch": "downloads; tests/test_fetch_*.py have a server of their own",
}


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def commands(page):
    """The lines of the fences marked sh; a backslash at the end goes on."""
    blocks = [text for mark, text in FENCE.findall(read(page)) if mark == "sh"]
    lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture
def place(tmp_path, monkeypatch):
    os.symlink(os.path.join(ROOT, "models"), str(tmp_path / "models"))
    (tmp_path / "photographs").mkdir()
    for path in glob.glob(os.path.join(ROOT, "models", "digits", "scenes", "*.png")):
        shutil.copy(path, str(tmp_path / "photographs"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_the_commands_of_a_page_run(page, place, capsys):
    pytest.importorskip("torch")
    if page == os.path.join("docs", "report.md"):
        pytest.importorskip("jinja2", reason="jinja2 is not installed here")
    from caffe_gradcam.commands import cli as gradcam
    from prototxt_tools.commands import cli as prototxt

    mains = dict(zip(COMMANDS, (gradcam.main, prototxt.main)))
    for line in commands(page):
        words = shlex.split(line)
        arguments = [one for word in words[1:] for one in (sorted(glob.glob(word)) or [word])]
        try:
            code = mains[words[0]](arguments)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        assert code == 0, f"{page}: {line}\n{captured.err}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_not_run_here_are_known(page):
    unmarked = "\n".join(text for mark, text in FENCE.findall(read(page)) if mark == "")
    for line in unmarked.split("\n"):
        if line.split()[:1] and line.split()[0] in COMMANDS:
            assert line.startswith(tuple(ELSEWHERE)), f"{page}: not marked sh: {line}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page):
    text = read(page)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match("[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = os.path.normpath(os.path.join(ROOT, os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, target)), f"{page}: {link}"
        if heading:
            assert heading in anchors(read(os.path.relpath(os.path.join(ROOT, target), ROOT))), link


def anchors(text):
    """The anchors that headings get."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
