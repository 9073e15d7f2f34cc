"""LMDBs that are cut short or have wrong bytes: errors of the source or of items, never a crash."""

import pathlib
import sys

import numpy as np
import pytest
from tables import explain, table

from caffe_gradcam.batch import explain_batch
from caffe_gradcam.batch.sources import lmdb as lmdb_source
from caffe_gradcam.batch.sources import open_source
from caffe_gradcam.commands import cli
from prototxt_tools.errors import InputError

pytest.importorskip("lmdb", reason="lmdb is not installed here")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fuzz"))

from lmdb_reader import lmdb_file, lmdb_images  # noqa: E402

DIGITS = str(pathlib.Path(__file__).resolve().parents[2] / "models" / "digits")


@pytest.fixture
def damage(tmp_path):
    """A function that writes an LMDB with other bytes, and gives its path."""
    def write(change):
        data = bytearray(lmdb_file(str(tmp_path / "whole")))
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "data.mdb").write_bytes(change(data))
        return tmp_path / "db"

    return write


def beyond_the_end(data):
    """The large value goes on behind the end of the file: reading it is a SIGBUS."""
    key = data.rindex(b"006")
    data[key - 6:key - 4] = (0xFFF).to_bytes(2, "little")  # The upper half of its length.
    return data


@pytest.mark.parametrize("command", [
    ["explain", DIGITS, "DB", "-o", "OUT"], ["evaluate", DIGITS, "DB"],
    ["batch", DIGITS, "DB", "-o", "OUT"]])
def test_every_command_refuses_one_that_is_cut_short(command, damage, tmp_path, capsys):
    path = damage(lambda data: data[:len(data) // 3])
    names = {"DB": str(path), "OUT": str(tmp_path / "out")}
    assert cli.main([names.get(text, text) for text in command]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"caffe-gradcam: {path}") and "cut short" in message


def test_a_value_that_kills_its_reader_is_an_error_of_its_item_alone(damage):
    path = damage(beyond_the_end)
    for _ in range(2):  # The process that reads the others is another one.
        count, errors = lmdb_images(str(path / "data.mdb"))
        error, = errors
        assert count == 6 and "this LMDB is damaged: the LMDB reader's process" in error


def test_in_a_batch_too(model, damage, tmp_path):
    explain(model, damage(beyond_the_end), tmp_path / "out")
    rows = table(tmp_path / "out", ["id", "status", "error"])
    assert [row["status"] for row in rows] == ["empty"] * 6 + ["unreadable"]  # Black images.
    assert "this LMDB is damaged" in rows[6]["error"]


def test_explain_goes_on_with_the_others(damage, tmp_path, capsys):
    pytest.importorskip("torch", reason="torch is not installed here")
    path = damage(beyond_the_end)
    assert cli.main(["explain", DIGITS, str(path), "-o", str(tmp_path / "out")]) == 1
    assert "this LMDB is damaged" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_explain_batch_takes_no_lmdb(model, damage):
    row, = explain_batch([str(damage(beyond_the_end))], model, engine="torch")
    assert row["status"] == "unreadable" and row["error"].endswith("a folder, not a file")


def test_flipped_bits(damage, tmp_path):
    random = np.random.RandomState(0)
    for number in range(6):
        def flip(data):
            for _ in range(20):
                data[random.randint(len(data))] ^= 1 << random.randint(8)
            return data

        path = damage(flip)
        try:
            count, errors = lmdb_images(str(path / "data.mdb"))
            assert count + len(errors) <= 7
        except InputError as error:
            assert str(path) in str(error)
        path.rename(tmp_path / f"db{number}")


def test_a_reader_that_hangs_is_given_up(damage, monkeypatch):
    monkeypatch.setattr(lmdb_source, "_PATIENCE", 0.0)
    with pytest.raises(InputError, match="reading it takes more than 0 s"):
        list(open_source(str(damage(bytes))))
