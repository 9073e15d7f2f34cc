"""The benchmark over a folder of prototxt files, on the public ones."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "corpus.py"
sys.path.append(str(BENCHMARK.parent))

import corpus  # noqa: E402

NET = 'layer { name: "i" type: "Input" top: "d" input_param { shape { dim: 1 dim: 3 } } }\n'
FILES = {
    "fine.prototxt": NET + 'layer { name: "s" type: "Softmax" bottom: "d" top: "s" }',
    "fork.prototxt": NET + 'layer { name: "x" type: "Axpy" bottom: "d" top: "x" }',
    "data.pt": 'layer { name: "db" type: "Data" top: "d" data_param { source: "/db" } }',
    "solver.prototxt": 'net: "x.prototxt" base_lr: 0.1',
    "twice.prototxt": NET + "name: 'a' name: 'b'",
    "template": "layer { num: ${N} }",
    "notes.md": "no prototxt at all",
}


def run(*arguments):
    result = subprocess.run(
        [sys.executable, str(BENCHMARK)] + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert b"Traceback" not in result.stderr
    return result.returncode, result.stdout.decode()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name, text in FILES.items():
        place = tmp_path / "deep" if name == "data.pt" else tmp_path
        (place / name).write_text(text)
    return tmp_path


def test_a_table_says_how_many_files_pass_each_step_and_every_refusal_its_reason(folder):
    code, output = run(folder)
    lines = output.splitlines()
    assert code == 0
    assert [line.split()[-3:] for line in lines[:6]] == [
        ["6", "of", "6"], ["5", "of", "6"], ["5", "of", "5"], ["4", "of", "5"], ["3", "of", "4"],
        ["2", "of", "3"],
    ]
    for name, reason in {
        "fork.prototxt": "converted, stock Caffe refuses: stock Caffe: 2:1: layer x (Axpy)",
        "deep/data.pt": "not tried: layer db (line 1) of type Data reads a database",
        "solver.prototxt": "refused: not a net: 1:1: a solver",
        "twice.prototxt": "refused: no parser accepts it: 2:11: name is given twice",
        "template": "refused: not a prototxt: 1:14: '$' is not part of the prototxt format",
    }.items():
        assert any(line.startswith(name + ": ") and reason in line for line in lines), name


def test_without_a_folder_it_says_how_to_call_it():
    code, output = run()
    assert code == 2 and "usage: benchmarks/corpus.py DIR" in output


def test_a_file_that_is_no_folder_and_a_folder_that_is_not_there_are_named(folder):
    for path in (folder / "fine.prototxt", folder / "nowhere"):
        result = subprocess.run([sys.executable, str(BENCHMARK), str(path)], stderr=subprocess.PIPE)
        assert result.returncode == 2
        assert result.stderr.decode() == f"{path} is no folder\n"


def test_names_of_every_kind_have_a_row_and_pipes_have_none(tmp_path):
    net = FILES["fine.prototxt"].encode()
    (tmp_path / "directory.prototxt").mkdir()
    names = (b"a b.prototxt", b"caf\xe9.prototxt", b"two\nlines", b"-h", b"directory.prototxt/x")
    for name in names:
        with open(os.path.join(os.fsencode(str(tmp_path)), name), "wb") as file:
            file.write(net)
    (tmp_path / "dangling.prototxt").symlink_to("nowhere")
    (tmp_path / "round.prototxt").symlink_to("round.prototxt")
    os.mkfifo(str(tmp_path / "pipe.prototxt"))
    code, output = run(tmp_path)
    assert code == 0
    assert output.startswith("files                                 7 of     7\n")
    assert "dangling.prototxt: refused: not a prototxt: no such file" in output
    assert "round.prototxt: refused: not a prototxt: cannot be read: Too many levels" in output
    if importlib.util.find_spec("caffe") is None:
        assert "caf\\udce9.prototxt: converted, not tried" in output
        assert "two\\nlines: converted, not tried" in output


def raises(path, with_caffe):
    raise RuntimeError("lost the thread")


def dies(path, with_caffe):
    os.kill(os.getpid(), signal.SIGSEGV)


def waits(path, with_caffe):
    time.sleep(60)


def takes_all_memory(path, with_caffe):
    bytearray(1 << 40)


@pytest.mark.parametrize(
    "fate, reason",
    [
        (raises, "RuntimeError: lost the thread"),
        (dies, "died without a word, status 11"),
        (waits, "no answer in 0.5 s"),
        (takes_all_memory, "MemoryError: "),
    ],
)
def test_a_file_that_crashes_the_program_is_a_row_and_the_next_one_another(
    folder, monkeypatch, capsys, fate, reason
):
    try_all = corpus.try_all

    def meets_its_fate(path, with_caffe):
        return (fate if path.name == "fork.prototxt" else try_all)(path, False)

    monkeypatch.setattr(corpus, "try_all", meets_its_fate)
    monkeypatch.setattr(corpus, "_SECONDS", 0.5)
    monkeypatch.setattr(corpus.stock_caffe, "SECONDS", 0 if fate is waits else 60)
    assert corpus.main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "fork.prototxt: crashed: " + reason in lines
    assert lines[0].split() == ["files", "6", "of", "6"]
    assert any(line.startswith("twice.prototxt: refused") for line in lines)


def test_a_reader_that_has_enough_ends_it_quietly(folder):
    command = f"'{sys.executable}' '{BENCHMARK}' '{folder}' | head -1"
    result = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (len(result.stdout.splitlines()), result.stderr) == (1, b"")


def rows_of(shared):
    with_caffe = importlib.util.find_spec("caffe") is not None
    return [corpus.try_all(path, with_caffe) for path in corpus.files_of(shared / "prototxt")]


@pytest.fixture(scope="module")
def rows(shared):
    """What became of each public file; about a minute where pycaffe is."""
    return rows_of(shared)


def test_every_public_file_comes_back_to_the_byte_or_is_refused(rows):
    assert len(rows) == 512
    assert [row.name for row in rows if row.comes_back is False] == []
    assert sum(row.parses for row in rows) == 491
    assert sum(row.is_net is True for row in rows) == 447
    assert sum(row.converts is True for row in rows) == 438


def test_every_public_file_that_was_not_converted_and_loaded_has_a_stated_reason(rows):
    for row in rows:
        assert row.reason or (row.loads and row.loads_after and row.shapes_agree), row.name


def test_every_public_net_that_caffe_builds_it_builds_after_conversion_with_our_shapes(caffe, rows):
    tried = [row for row in rows if row.loads is not None]
    assert len(tried) == 110
    assert [row.reason for row in tried if row.reason] == []
    assert all(row.loads and row.loads_after and row.shapes_agree for row in tried)
