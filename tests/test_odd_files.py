"""Whatever a user names may be a pipe, a device, or a link to one: one sentence, at once."""

import contextlib
import os
import pathlib
import shutil
import signal
import threading
import time

import pytest

from caffe_gradcam.batch.sources import open_source
from caffe_gradcam.commands import cli as gradcam
from caffe_gradcam.doctor import machine
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.commands import cli as tools
from prototxt_tools.errors import InputError

pytest.importorskip("cv2", reason="OpenCV is not installed here")

DIGITS = pathlib.Path(__file__).resolve().parents[1] / "models" / "digits"
NET, WEIGHTS = str(DIGITS / "deploy.prototxt"), str(DIGITS / "digits.caffemodel")
IMAGE = str(next((DIGITS / "scenes").glob("*.png")))
MOST_SECONDS = 60
# Options whose file is written; what is written to /dev/zero disappears.
WRITTEN = "-o", "--script", "--save-config"

# BAD.x stands for a file with that extension which is no regular one.
EXPLAIN = [
    ["BAD.prototxt", IMAGE, "--weights", WEIGHTS], ["BAD", IMAGE],
    [NET, IMAGE, "--weights", "BAD.caffemodel"], [NET, IMAGE, "--weights", "BAD.caffemodel.h5"],
    [DIGITS, IMAGE, "--labels", "BAD.txt"], [DIGITS, IMAGE, "--labels", "BAD.json"],
    [DIGITS, IMAGE, "--mean", "BAD.npy"], [DIGITS, IMAGE, "--mean", "BAD.binaryproto"],
    *([DIGITS, "data=BAD" + extension] for extension in (
        ".npy", ".npz", ".h5", ".txt", ".json", ".tif", ".png")),
    [DIGITS, IMAGE, "--mask", "BAD.png"], [DIGITS, IMAGE, "--like", "BAD.png"],
    [IMAGE, "--config", "BAD.yaml"], [DIGITS, IMAGE, "--save-config", "BAD.yaml"],
]
SOURCES = ["BAD", "BAD.png", "BAD.npy", "BAD.txt", "BAD.csv", "BAD.tsv", "BAD.jsonl", "BAD.parquet",
           "BAD.tar", "BAD.h5", "BAD.h5:images", "BAD.mdb", "file://BAD.txt", "file://BAD.csv",
           "file://BAD.tar", "file://BAD.png"]
COMMANDS = (
    [["explain", *arguments, "-o", "OUT"] for arguments in EXPLAIN]
    + [["explain", DIGITS, source, "-o", "OUT"] for source in SOURCES]
    + [["evaluate", DIGITS, source] for source in SOURCES]
    + [["batch", DIGITS, source, "-o", "OUT", "--decoders", "1"] for source in SOURCES]
    + [["evaluate", DIGITS, IMAGE, "--boxes", "BAD.csv"],
       ["evaluate", DIGITS, IMAGE, "--boxes", "BAD.json"],
       ["batch", "--config", "BAD.json", IMAGE, "-o", "OUT"],
       ["batch", DIGITS, IMAGE, "-o", "BAD"], ["batch", "status", "BAD"],
       ["batch", "verify", "BAD"], ["render", "BAD"], ["report", "BAD", "-o", "OUT.html"],
       ["doctor", "BAD.prototxt"], ["doctor", DIGITS, "--weights", "BAD.caffemodel"],
       ["models", "add", "BAD"], ["models", "add", "BAD/readme.md"]])
TOOLS = (
    [[name, "BAD.prototxt"] for name in (
        "convert", "inspect", "draw", "audit", "deploy", "upgrade", "cut")]
    + [["rewrite", "--stock", "BAD.prototxt"]]
    + [["diff", NET, "BAD.prototxt"], ["weights", "BAD.caffemodel"],
       ["weights", "BAD.caffemodel.h5"], ["weights", WEIGHTS, "--against", "BAD.caffemodel"],
       ["weights", WEIGHTS, "--net", "BAD.prototxt"],
       ["fold", NET, "BAD.caffemodel", "--weights-out", "OUT"],
       ["rewrite", "--stock", NET, "--weights", "BAD.caffemodel", "--weights-out", "OUT"],
       ["convert", NET, "-o", "BAD.prototxt"], ["convert", NET, "--script", "BAD.py"]])


def pipe(path):
    os.mkfifo(str(path))


def link_to_a_pipe(path):
    pipe(path.parent / "target")
    path.symlink_to(path.parent / "target")


def link_to_a_device(path):
    path.symlink_to("/dev/zero")


@contextlib.contextmanager
def time_limit():
    def ring(*_):
        raise AssertionError(f"more than {MOST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(main, command, make, tmp_path, capsys):
    """The exit code, and all that was printed."""
    arguments = []
    for text in map(str, command):
        start = text.find("BAD")
        if start >= 0:
            name = text[start:].partition(":")[0].partition("/")[0]
            make(tmp_path / name)
            text = text[:start] + str(tmp_path) + "/" + text[start:]
        arguments.append(str(tmp_path / text) if text.startswith("OUT") else text)
    with time_limit():
        code = main(arguments)
    return code, "".join(capsys.readouterr())


KINDS = [pipe, link_to_a_pipe, link_to_a_device]


def cases(commands):
    """Each command with one kind of file after the other."""
    return [pytest.param(command, KINDS[number % 3], id=" ".join(
        os.path.basename(str(text)) for text in command) + "-" + KINDS[number % 3].__name__)
            for number, command in enumerate(commands)
            if not (KINDS[number % 3] is link_to_a_device and command[-2] in WRITTEN)]


@pytest.fixture(autouse=True)
def without_a_look_at_the_machine(monkeypatch):
    monkeypatch.setattr(machine, "examine", lambda devices: ([], []))


@pytest.mark.parametrize("command, make", cases(COMMANDS))
def test_caffe_gradcam_refuses_it(command, make, tmp_path, capsys):
    code, output = outcome(gradcam.main, command, make, tmp_path, capsys)
    assert code in (1, 2) and "Traceback" not in output
    assert ("BAD" in output or "1 images: 1 unreadable" in output
            or "none of pycaffe, torch, onnxruntime and openvino is installed" in output)


@pytest.mark.parametrize("command, make", cases(TOOLS))
def test_prototxt_tools_refuses_it(command, make, tmp_path, capsys):
    code, output = outcome(tools.main, command, make, tmp_path, capsys)
    assert code in (1, 2) and "BAD" in output and "Traceback" not in output


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", [
    "readme.md", "labels.txt", "mean.binaryproto", "train_val.prototxt", "info.json",
    "solver.prototxt", "deploy.prototxt", "digits.caffemodel", "synset_words.txt"])
def test_a_folder_that_holds_one_is_read_without_it_or_refused(make, name, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(str(DIGITS), str(folder), ignore=shutil.ignore_patterns(name, "scenes"))
    make(folder / name)
    with time_limit():
        try:
            LoadedModel.load(str(folder))
        except InputError as error:
            assert str(folder) in str(error)


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_list_may_come_from_a_command(name, tmp_path):
    reading, writing = os.pipe()
    (tmp_path / name).symlink_to(f"/dev/fd/{reading}")

    def write():
        time.sleep(0.1)
        os.write(writing, b"a.png 3\n" if name == "list.txt" else b"path,label\na.png,3\n")
        os.close(writing)

    threading.Thread(target=write).start()
    try:
        item, = open_source(str(tmp_path / name))
    finally:
        os.close(reading)
    assert (os.path.basename(item.path), item.true_label) == ("a.png", 3)
