"""The benchmark over a folder of prototxt files, on the public ones."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "corpus.py"
sys.path.append(str(BENCHMARK.parent))

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
        "data.pt": "not tried: layer db (line 1) of type Data reads a database from the disk: /db",
        "solver.prototxt": "refused: not a net: 1:1: a solver",
        "twice.prototxt": "refused: no parser accepts it: 2:11: name is given twice",
        "template": "refused: not a prototxt: 1:14: '$' belongs to no prototxt",
    }.items():
        assert any(line.startswith(name + ": ") and reason in line for line in lines), name


def test_without_a_folder_it_says_how_to_call_it():
    code, output = run()
    assert code == 2 and "usage: benchmarks/corpus.py DIR" in output


def rows_of(shared):
    import corpus

    with_caffe = importlib.util.find_spec("caffe") is not None
    return [corpus.judge(path, with_caffe) for path in corpus.files_of(shared / "prototxt")]


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
