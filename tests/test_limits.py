"""How much is read: a limit for each kind of file, and options that put others in their place."""

import os
import pathlib

import numpy as np
import pytest

from caffe_gradcam.commands import cli
from caffe_gradcam.model import image_sizes, images, label_files
from caffe_gradcam.model.limits import Limits
from prototxt_tools import files
from prototxt_tools.errors import InputError
from prototxt_tools.text.document import Document

DIGITS = pathlib.Path(__file__).resolve().parents[1] / "models" / "digits"
VARIABLES = (files.MAX_BYTES, image_sizes.LIMIT)


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_limits_reach_the_environment_for_a_while():
    with Limits(1000, 2000).in_force():
        assert [os.environ[name] for name in VARIABLES] == ["1000", "2000"]
        assert Limits.current() == Limits(1000, 2000)
        with Limits(pixels=3000).in_force():
            assert Limits.current() == Limits(1000, 3000)
    assert Limits.current() == Limits() and not set(VARIABLES) & set(os.environ)


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9", "9" * 30])
def test_what_is_no_number_leaves_the_limits_as_they_are(monkeypatch, text):
    monkeypatch.setenv(files.MAX_BYTES, text)
    assert files.byte_limit(70) == 70 and Limits.current() == Limits()


def test_a_larger_limit_lets_a_larger_file_through(tmp_path, monkeypatch):
    path = tmp_path / "labels.txt"
    path.write_text("cat\n" * 10)
    monkeypatch.setattr(label_files, "MOST_BYTES", 30)
    with pytest.raises(InputError, match="40 bytes, more than the 30 that are read; --max-bytes"):
        label_files.load(str(path))
    with Limits(40).in_force():
        assert len(label_files.load(str(path))) == 10


def test_a_smaller_limit_holds_for_every_kind(tmp_path):
    (tmp_path / "net.prototxt").write_text('name: "a net"\nlayer { name: "x" type: "ReLU" }\n')
    np.save(str(tmp_path / "image.npy"), np.zeros((8, 8), np.uint8))
    with Limits(20).in_force():
        for read in (lambda: Document.load(str(tmp_path / "net.prototxt")),
                     lambda: images.read(tmp_path / "image.npy")):
            with pytest.raises(InputError, match="too large|more than the 20 that are read"):
                read()


@pytest.mark.parametrize("option, words", [
    (["--max-pixels", "100"], "--max-pixels allows more"),
    (["--max-bytes", "1K"], "more than the 1000 that are read; --max-bytes"),
])
def test_the_options_hold_for_one_command(option, words, tmp_path, capsys):
    pytest.importorskip("torch", reason="torch is not installed here")
    image = str(DIGITS / "scenes" / "3-5.png")
    arguments = ["explain", str(DIGITS), image, "-o", str(tmp_path / "out"), "-q"]
    code = cli.main(arguments + option)
    assert code in (1, 2) and words in capsys.readouterr().err
    assert Limits.current() == Limits()


@pytest.mark.parametrize("text", ["many", "-5", "1T"])
def test_what_is_no_size_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["explain", "a", "b", "--max-bytes", text])
    assert "expected a size such as 50MB" in capsys.readouterr().err
