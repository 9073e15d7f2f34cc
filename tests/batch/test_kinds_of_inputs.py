"""Rows for nets with several inputs, inputs of any shape and scores of any layout."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cases import path_of
from input_kinds import item, write_files
from tables import explain, table

from caffe_gradcam import Model, explain_batch
from caffe_gradcam.batch.output.rows import to_explanation
from caffe_gradcam.batch.sources import InputColumns, open_source
from caffe_gradcam.commands.cli import main
from prototxt_tools.errors import InputError

COUNT = 8


@pytest.fixture
def rows(tmp_path, torch):
    """A table with a column for each input of lrcn; two rows cannot be used."""
    write_files(tmp_path)
    lines = [f"{number % 4}.png,{'1' if number % 3 else 'cont.npy'},words.npy"
             for number in range(COUNT)]
    lines[5] = "1.png,1,rois.npy"
    lines[7] = "2.png,absent.npy,words.npy"
    path = tmp_path / "rows.csv"
    path.write_text("data,cont_sentence,input_sentence\n" + "\n".join(lines) + "\n")
    return path


def command(source, output):
    return [sys.executable, "-m", "caffe_gradcam", "batch", path_of("lrcn"), str(source), "-o",
            str(output), "-q", "--engine", "torch", "--part-size", "2", "--batch", "2",
            "--class", "top:2", "--threads", "1", "--decoders", "1"]


def test_rows_name_a_file_or_a_number_for_each_input(rows, tmp_path):
    summary = explain(path_of("lrcn"), rows, tmp_path / "out", ("6",))
    assert summary.counts["unreadable"] == 2
    entries = table(tmp_path / "out")
    assert len(entries) == COUNT
    assert "takes 6 x 1 numbers" in entries[5]["error"]
    assert "absent.npy: no such file" in entries[7]["error"]
    good = [entry for entry in entries if entry["status"] == "ok"]
    assert {entry["class"] for entry in good} == {6}
    assert all(" at step " in entry["question"] for entry in good)


def test_rows_equal_what_python_explains(rows, tmp_path):
    explain(path_of("lrcn"), rows, tmp_path / "out", ("6 at step 2",))
    entry = table(tmp_path / "out")[0]
    with Model.load(path_of("lrcn")) as model:
        explanation, = model.explain([item("lrcn")], "6 at step 2", engine="torch")
    assert entry["score"] == pytest.approx(explanation.score, rel=1e-4)
    assert entry["question"] == explanation.question == "6 at step 2"


def test_a_run_that_is_killed_goes_on_to_the_same_table(rows, tmp_path):
    assert subprocess.call(command(rows, tmp_path / "reference")) == 1
    process = subprocess.Popen(command(rows, tmp_path / "out"), start_new_session=True)
    parts = tmp_path / "out" / "parts"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
            parts.is_dir() and any(name[0] != "." for name in os.listdir(str(parts)))):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.call(command(rows, tmp_path / "out")) == 1
    assert table(tmp_path / "out") == table(tmp_path / "reference")


def test_the_first_line_must_name_each_input_that_needs_a_value(tmp_path, rows):
    inputs = InputColumns.of(Model.load(path_of("lrcn")))
    path = tmp_path / "less.csv"
    path.write_text("path,cont_sentence\n0.png,1\n")
    with pytest.raises(InputError, match="the first line names no column input_sentence"):
        list(open_source(str(path), inputs=inputs))
    path.write_text("path,cont_sentence,input_sentence\n0.png,1,words.npy\n")
    entry, = open_source(str(path), inputs=inputs)
    assert entry.input_paths == (
        ("data", str(tmp_path / "0.png")), ("cont_sentence", "1"),
        ("input_sentence", str(tmp_path / "words.npy")))


def test_images_of_several_sizes_go_through_a_fully_convolutional_net(tmp_path, torch):
    import cv2

    (tmp_path / "in").mkdir()
    for number, size in enumerate([(96, 128), (70, 90), (96, 128), (30, 128)]):
        image = np.random.RandomState(number).randint(0, 256, size + (3,)).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), image)
    paths = [str(path) for path in sorted((tmp_path / "in").iterdir())]
    entries = explain_batch(paths, path_of("fcn"), resize="none", engine="torch")
    assert [entry["cam_shape"] for entry in entries[:3]] == [[7, 11], [4, 7], [7, 11]]
    assert "an image of 30x128 does not fit input data of the net" in entries[3]["error"]


def test_rows_of_python_hold_arrays_beside_images(torch):
    columns = [dict(item("lrcn", number), id=f"row {number}") for number in range(2)]
    columns.append({"data": columns[0]["data"], "cont_sentence": 1})
    entries = explain_batch(columns, path_of("lrcn"), engine="torch", classes="6", step=4)
    assert [entry["question"] for entry in entries[:2]] == ["6 at step 4"] * 2
    assert [entry["id"] for entry in entries[:2]] == ["row 0", "row 1"]
    assert "there is no value for input input_sentence" in entries[2]["error"]


def test_rows_of_python_hold_signals(torch):
    entries = explain_batch([item("sig1d", 0), item("sig1d", 1)], path_of("sig1d"),
                            engine="torch")
    assert [entry["cam_shape"] for entry in entries] == [[1, 63]] * 2


def test_figures_of_signals_are_drawn_from_rows(tmp_path, torch):
    write_files(tmp_path)
    explain(path_of("sig1d"), tmp_path / "signal.npy", tmp_path / "out")
    assert main(["render", str(tmp_path / "out"), "-o", str(tmp_path / "figures")]) == 0
    assert len(os.listdir(str(tmp_path / "figures"))) == 1


def test_rows_tell_at_which_step_a_class_was_asked_about(rows, tmp_path):
    explain(path_of("lrcn"), rows, tmp_path / "out", ("6", "6 at step 2"))
    good = [row for row in table(tmp_path / "out") if row["status"] == "ok"]
    assert {row["step"] for row in good} >= {2}
    for row in good:
        assert row["question"].endswith(f"at step {row['step']}")
        assert row["prior"] is None and row["roi"] is None
        assert to_explanation(row).position == (("step", row["step"]),)


def test_the_answer_of_a_detector_is_not_its_background(tmp_path, torch):
    folder = os.path.join(os.path.dirname(__file__), "..", "..", "models", "digits-detector")
    scene = os.path.join(folder, "scenes", "7-7-8.png")
    explain(folder, scene, tmp_path / "out", ("top:1",))
    row, = table(tmp_path / "out")
    assert row["predicted"] == row["class"] != 0
    assert row["question"].endswith(f"at prior {row['prior']}")
