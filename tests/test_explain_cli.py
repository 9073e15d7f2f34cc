"""The command caffe-gradcam explain."""

import json
import os
import re
import struct
import subprocess
import sys
import zlib

import cv2
import definitions
import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

from caffe_gradcam.commands import cli
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining import explainer
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.pictures import figures, outputs


@pytest.fixture
def engines(monkeypatch):
    """The engines that were opened, each with its net and how it was to run."""
    opened = []

    def open_engine(net, running):
        opened.append((FakeEngine(), net, running))
        return opened[-1][0]

    monkeypatch.setattr(explainer, "open_engine", open_engine)
    return opened


@pytest.fixture
def place(tmp_path, monkeypatch, engines):
    """A current folder with a model, a blue and a green picture."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    picture("blue.png", 0)
    picture("green.png", 1)
    return tmp_path


def picture(name, channel, level=150):
    """Grey, and more of one colour in the upper left quarter."""
    image = np.full((40, 60, 3), 90, np.uint8)
    image[:20, :30, channel] = level
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    cv2.imwrite(name, image)


def explain(*arguments):
    return cli.main(["explain", "model"] + list(arguments) + ["-o", "out"])


def report(capsys, *arguments):
    code = explain("--json", *arguments)
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def refusal(capsys, *arguments):
    """What the command says on stderr when it can do nothing."""
    assert explain("-q", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_a_figure_is_written_for_each_image(place, capsys):
    assert explain("blue.png", "green.png") == 0
    assert sorted(os.listdir("out")) == [
        "blue.class-0-blue.smaller.grad-cam.png", "green.class-1-green.smaller.grad-cam.png",
    ]
    figure = os.path.join("out", "blue.class-0-blue.smaller.grad-cam.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"blue.png: 0 blue, azure (52.3 %), grad-cam at smaller -> {figure}"


def test_in_the_figure_the_hottest_place_is_red_and_lies_on_the_colour(place):
    explain("blue.png")
    figure = cv2.imread("out/blue.class-0-blue.smaller.grad-cam.png").astype(int)
    # 40 x 60 is enlarged by 6; the overlay begins behind margin, photograph and gap.
    overlay = figure[16:256, 16 + 360 + 8:16 + 720 + 8]
    redness = overlay[:, :, 2] - overlay[:, :, :2].max(axis=2)
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert row < 120 and column < 180
    # Where the heat is 1: 0.35 of (150, 90, 90) and 0.65 of JET's last colour (0, 0, 128).
    assert overlay[0, 0].tolist() == pytest.approx([52, 32, 115], abs=1)


def test_the_model_is_described_with_the_origin_of_each_value(place, capsys):
    explain("blue.png")
    table = capsys.readouterr().err
    assert re.search(r"size +8x8 +found: the net's input\n", table)
    assert re.search(r"scale +0\.01 +readme\.md\n", table)
    assert re.search(r"layers +smaller +found: the last blob with spatial extent", table)


def test_json_is_one_object_and_nothing_else(place, capsys):
    code, printed, err = report(capsys, "blue.png", "--class", "green", "--npz")
    assert (code, err) == (0, "")
    assert {key: printed[key] for key in ("model", "engine", "device")} == {
        "model": "colours", "engine": "fake", "device": "cpu",
    }
    image, = printed["images"]
    assert image["path"] == "blue.png"
    assert [(row["class"], row["class_name"]) for row in image["top"]] == [
        (0, "blue, azure"), (1, "green"), (2, "neither"),
    ]
    # Blue: a quarter of 150, three quarters of 90; a hundredth of that.
    assert image["top"][0]["score"] == pytest.approx(1.05)
    assert sum(row["probability"] for row in image["top"]) == pytest.approx(1)
    base = os.path.join("out", "blue.class-1-green.smaller.grad-cam")
    entry, = image["explanations"]
    assert entry.pop("cam_max") == pytest.approx(0.225)
    assert entry.pop("positive_mass") == pytest.approx(0.9)
    assert entry.pop("score") == pytest.approx(0.9)
    assert entry.pop("probability") == image["top"][1]["probability"]
    assert entry == {
        "question": "1 green", "class": 1, "class_name": "green", "method": "grad-cam",
        "layer": "smaller", "input": "data", "cam_shape": [2, 2], "status": "empty",
        "negative_mass": 0, "figure": base + ".png", "npz": base + ".npz",
    }


def test_npz_holds_the_arrays_behind_the_figure(place):
    explain("blue.png", "--npz", "-q")
    with np.load("out/blue.class-0-blue.smaller.grad-cam.npz") as arrays:
        assert sorted(arrays) == ["cam", "heatmap", "scores"]
        assert arrays["cam"] == pytest.approx(np.array([[0.375, 0.225], [0.225, 0.225]]))
        assert arrays["heatmap"].shape == (40, 60)
        assert (arrays["heatmap"].max(), arrays["heatmap"].dtype) == (1, np.float32)
        assert arrays["scores"] == pytest.approx([1.05, 0.9, -1.95])


def test_classes_and_layers_may_be_asked_for_together(place, capsys):
    code, printed, _ = report(
        capsys, "blue.png", "--class", "azure", "--class", "top:2", "--layer", "shrink",
        "--layer", "smaller",
    )
    pairs = [(entry["class"], entry["layer"])
             for entry in printed["images"][0]["explanations"]]
    assert pairs == [(0, "small"), (0, "smaller"), (1, "small"), (1, "smaller")]


def test_an_empty_map_is_reported(place, capsys):
    _, printed, _ = report(capsys, "blue.png", "--class", "2")
    entry, = printed["images"][0]["explanations"]
    assert entry["status"] == "empty" and entry["cam_max"] < 0


def test_the_line_of_an_empty_map_tells_so(place, capsys):
    explain("blue.png", "--class", "2")
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith("blue.png: 2 neither (")
    assert "grad-cam at smaller, the map is empty -> " in line


def test_a_slow_method_shows_progress_on_one_image(place, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    assert explain("blue.png", "--method", "occlusion") == 0
    # An eighth of 8 pixels is one, and squares lie at least one apart.
    assert "running the net again: 64image" in capsys.readouterr().err


def test_a_fast_method_or_a_quiet_run_shows_no_runs(place, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert explain("blue.png", "--method", "occlusion", "-q") == 0
    assert capsys.readouterr().err == ""


def test_images_go_through_the_net_in_batches(place, engines):
    explain("blue.png", "green.png", "blue.png", "--batch", "2", "-q")
    assert engines[0][0].batches == [2, 1]
    assert engines[0][0].closed


def test_equal_names_do_not_overwrite_each_other(place):
    picture("a/x.png", 0)
    picture("b/x.jpg", 0)
    explain("a/x.png", "b/x.jpg", "-q")
    assert sorted(os.listdir("out")) == [
        "x-2.class-0-blue.smaller.grad-cam.png", "x.class-0-blue.smaller.grad-cam.png",
    ]


def test_the_engine_is_opened_as_asked_for(place, engines):
    explain("blue.png", "-q", "--engine", "torch", "--device", "cuda:1", "--gradient", "pre-relu",
            "--trust", "--precision", "tf32")
    _, net, running = engines[0]
    assert 'name: "colours"' in net.prototxt
    assert os.path.basename(net.weights) == "colours.caffemodel"
    assert (net.scores, net.targets, net.gradient) == (("score",), ("smaller",), "pre-relu")
    assert running == Running("torch", "cuda:1", "tf32", trust=True)


def test_a_bad_image_is_one_line_and_the_others_are_explained(place, capsys):
    (place / "empty.jpg").write_bytes(b"")
    code, printed, err = report(capsys, "empty.jpg", "blue.png", "absent.png")
    assert code == 1
    assert err.splitlines() == [
        "caffe-gradcam: empty.jpg: the file is empty (0 bytes)",
        "caffe-gradcam: absent.png: no such file",
    ]
    empty, blue, absent = printed["images"]
    assert empty == {"path": "empty.jpg", "score_blob": "score",
                     "error": "empty.jpg: the file is empty (0 bytes)"}
    assert blue["explanations"][0]["status"] == "ok" and "error" in absent


def test_a_batch_that_the_engine_refuses_fails_alone(place, capsys):
    picture("bright.png", 0, level=255)
    code, printed, err = report(capsys, "bright.png", "blue.png", "--batch", "1")
    assert code == 1
    assert "caffe-gradcam: bright.png: too bright for the engine" in err
    assert "explanations" in printed["images"][1]


def test_only_bad_images_are_exit_code_2(place, capsys):
    code, printed, _ = report(capsys, "absent.png")
    assert code == 2 and "error" in printed["images"][0]


@pytest.mark.parametrize("arguments, words", [
    (["blue.png", "--class", "grean"], "no class 'grean'; near: green (1)"),
    (["blue.png", "--class", "3"], "no class 3; the net's classes are 0 to 2"),
    (["blue.png", "--class", "top:0"], "'top:0': how many classes must be a whole number"),
    (["blue.png", "--layer", "smal"], "no layer or blob 'smal'; near: small"),
    (["blue.png", "--layer", "score"], "score (3) has no spatial extent"),
    (["blue.png", "--score", "prob"], "give --score score"),
    (["blue.png", "--weights", "absent"], "absent: no such weights file"),
    (["blue.png", "--mean", "x"], "mean must be numbers, none, or a .npy or .binaryproto file"),
    (["blue.png", "--labels", "absent"], "absent: no such file"),
])
def test_what_cannot_be_done_is_one_sentence(place, capsys, engines, arguments, words):
    err = refusal(capsys, *arguments)
    assert words in err and err.startswith("caffe-gradcam: ") and err.count("\n") == 1
    assert engines == [] and not os.path.exists("out")


def test_an_unwritable_folder_is_said_for_each_image(place, capsys):
    (place / "out").write_bytes(b"a file")
    assert "cannot be written" in refusal(capsys, "blue.png")


def test_warnings_are_shown_even_with_json(place, capsys):
    (place / "model" / "labels.txt").write_text("one\n")
    assert "caffe-gradcam: warning: " in report(capsys, "blue.png")[2]


def test_interrupting_is_exit_code_130(place, monkeypatch):
    def interrupt(self, inputs, keep):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeEngine, "forward", interrupt)
    assert explain("blue.png", "-q") == 130


def test_running_out_of_memory_is_one_sentence(place, monkeypatch, capsys):
    def fill_memory(self, inputs, keep):
        raise MemoryError

    monkeypatch.setattr(FakeEngine, "forward", fill_memory)
    assert explain("blue.png", "-q") == 2
    assert capsys.readouterr().err == ("caffe-gradcam: out of memory; use smaller images or a "
                                       "smaller batch, or a machine with more memory\n")


@pytest.mark.parametrize("arguments, code", [(["--help"], 0), (["explain", "--help"], 0), ([], 2)])
def test_help_imports_nothing_heavy(arguments, code):
    program = (
        "import sys, caffe_gradcam.commands.cli as cli\n"
        f"try: cli.main({arguments!r})\n"
        "except SystemExit as exit: code = exit.code\n"
        "heavy = {'cv2', 'numpy', 'torch', 'caffe', 'google.protobuf'} & set(sys.modules)\n"
        "print(code, sorted(heavy), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert ran.stderr.decode().splitlines()[-1] == f"{code} []"


def test_what_c_libraries_write_stays_off_the_screen(capfd, monkeypatch):
    program = (
        "import os, sys, types, caffe_gradcam.commands.cli as cli\n"
        "with cli._quiet_libraries({}):\n"
        "    os.write(2, b'libpng warning\\n')\n"
        "    print('for people', file=sys.stderr)\n"
        "print('afterwards', file=sys.stderr)\n"
        "os.write(2, b'as before\\n')"
    )

    def lines(verbose):
        ran = subprocess.run(
            [sys.executable, "-c", program.format(verbose)], stderr=subprocess.PIPE
        )
        return ran.stderr.decode().splitlines()

    assert lines(False) == ["for people", "afterwards", "as before"]
    assert lines(True)[0] == "libpng warning"


def test_as_a_process_it_ends_with_its_code_and_says_only_what_it_means(torch, tmp_path):
    prototxt, weights = definitions.write_model(tmp_path, definitions.lenet())
    picture(str(tmp_path / "good.png"), 0)
    data = (tmp_path / "good.png").read_bytes()
    profile = b"iCCPbad\0\0" + zlib.compress(b"no colour profile")
    chunk = struct.pack(">I", len(profile) - 4) + profile + struct.pack(">I", zlib.crc32(profile))
    (tmp_path / "noisy.png").write_bytes(data[:33] + chunk + data[33:])
    ran = subprocess.run(
        [sys.executable, "-m", "caffe_gradcam", "explain", prototxt, "--weights", weights,
         str(tmp_path / "noisy.png"), str(tmp_path / "absent.png"), "-o", str(tmp_path / "out"),
         "--engine", "torch", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert ran.returncode == 1
    assert len(json.loads(ran.stdout.decode())["images"]) == 2
    absent = "caffe-gradcam: {}: no such file".format(tmp_path / "absent.png")
    assert ran.stderr.decode().splitlines() == [absent]


def test_names_that_are_no_text_can_be_said(place, capsys):
    name = os.fsdecode(b"caf\xe9.png")
    os.rename("blue.png", name)
    assert explain(name) == 0
    assert "caf\\xe9.png: 0 blue" in capsys.readouterr().out
    assert os.listdir("out") == ["caf_.class-0-blue.smaller.grad-cam.png"]


def test_output_names_are_short_and_printable():
    long, strange = outputs.stems(["x" * 300 + ".png", u"d/\u732b\n\t" + u"\u732b" * 99 + ".png"])
    assert long == "x" * 100
    assert strange.startswith(u"\u732b__\u732b") and len(strange.encode("utf-8")) <= 100


@pytest.mark.parametrize("probability, words", [
    (0, "< 0.1 %"), (0.0012, "0.1 %"), (0.2681, "26.8 %"), (0.99, "99.0 %"), (1, "> 99.9 %"),
])
def test_probabilities_are_never_rounded_to_certainty(probability, words):
    assert figures.percent(probability) == words


@pytest.mark.parametrize("label, probability, title", [
    ("tiger cat", 0.25, "7 tiger cat  25.0 %"),
    (None, 0.25, "class 7  25.0 %"),
    (None, None, "class 7  score -1.5"),
])
def test_the_title_says_class_and_probability_or_score(label, probability, title):
    question = "7 " + label if label else "7"
    one = Explanation(question, 7, label, -1.5, probability, "grad-cam", "conv5",
                      np.zeros((1, 1)), None, None, "data")
    assert figures.title(one) == title
    assert figures.note(one) == "grad-cam at conv5: empty, no region stands out"


def test_output_names_differ_even_where_case_does_not_count():
    assert outputs.stems(["a/Cat.png", "b/cat.jpg", "cat-2.png"]) == ["Cat", "cat-2", "cat-2-2"]
