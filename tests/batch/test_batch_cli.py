"""The commands batch and render."""

import json
import os
import re
import subprocess
import sys

import cv2
import pytest
from tables import column, picture, pictures, table

from caffe_gradcam.commands import cli


@pytest.fixture
def place(model, tmp_path, monkeypatch):
    """A current folder with a model and four labelled pictures, of which two are taken wrong."""
    monkeypatch.chdir(str(tmp_path))
    pictures(tmp_path / "in", 4)
    (tmp_path / "val.txt").write_text("0000.png 0\n0001.png 0\n0002.png 2\n0003.png 1\n")
    return tmp_path


def batch(*arguments):
    return cli.main(["batch", "model"] + list(arguments) + ["--engine", "torch", "--decoders", "1"])


def test_the_rows_of_an_output_are_drawn_later_by_a_condition(place, capsys):
    assert batch("val.txt", "--root", "in", "-o", "out", "--class", "top:2", "-q") == 0
    assert cli.main(["render", "out", "--where", "class == predicted and true_label != class"]) == 0
    names = sorted(os.listdir("out/rendered"))
    assert names == ["000000001.0001.class-1-green.smaller.grad-cam.png",
                     "000000002.0002.class-0-blue.smaller.grad-cam.png"]
    figure = cv2.imread("out/rendered/" + names[0]).astype(int)
    # Where the heat is 1, JET's dark red: nothing in the image is like it.
    assert (figure[:, :, 2] - figure[:, :, :2].max(axis=2)).max() > 40
    assert "2 images drawn in out/rendered" in capsys.readouterr().err


def test_an_image_that_has_changed_is_not_drawn_on(place, capsys):
    batch("in", "-o", "out", "-q")
    picture(place / "in" / "0001.png", red=3)
    assert cli.main(["render", "out", "-o", "figures", "--figure", "overlay"]) == 1
    assert len(os.listdir("figures")) == 3
    assert "0001.png: has changed since it was explained" in capsys.readouterr().err


@pytest.mark.parametrize("overlays, images", [
    ("none", []), ("all", [0, 1, 2, 3]), ("wrong", [1, 2]), ("1", [0])])
def test_overlays_are_drawn_besides_if_asked_for(place, overlays, images):
    batch("val.txt", "--root", "in", "-o", "out", "-q", "--overlays", overlays, "--format", "jpg")
    drawn = [name for _, _, files in os.walk("out/overlays") for name in files]
    assert sorted(int(name[:9]) for name in drawn) == images
    assert all(name.endswith(".smaller.grad-cam.jpg") for name in drawn)


def test_a_batch_ends_with_counts_accuracy_and_what_to_do_next(place, capsys):
    assert batch("val.txt", "--root", "in", "-o", "out") == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "caffe-gradcam: 4 images: 4 ok; accuracy 50.0% of 4 labelled images; "
        "caffe-gradcam render out -o DIR draws the figures")


def test_a_worker_concludes_on_its_own_parts(place, capsys):
    assert batch("val.txt", "--root", "in", "-o", "out", "--part-size", "2", "--worker", "1/2") == 0
    assert "2 images: 2 ok; accuracy 50.0% of 2 labelled images" in (
        capsys.readouterr().err.splitlines()[-1])


def test_status_counts_and_verify_finds_nothing(place, capsys):
    (place / "in" / "text.png").write_text("no image")
    assert batch("in", "-o", "out", "--part-size", "2", "--worker", "1/2") == 0
    assert batch("in", "-o", "out", "--part-size", "2", "--worker", "2/2") == 1
    summary = capsys.readouterr().err.splitlines()[-1]
    assert "1 unreadable" in summary and "see out for the reasons" in summary
    assert "--retry-failed" in summary and "caffe-gradcam render out -o DIR" in summary
    assert cli.main(["batch", "status", "out", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"ok": 4, "empty": 0, "unreadable": 1, "failed": 0}
    assert (report["parts"], report["parts_planned"], report["images"]) == (3, 3, 5)
    assert cli.main(["batch", "verify", "out"]) == 0
    assert capsys.readouterr().out == "out: 3 of 3 parts are finished, and all of them are sound\n"


def test_log_json_is_an_object_a_line_and_metrics_a_file_for_prometheus(place, capsys):
    assert batch("in", "-o", "out", "--log-json", "--metrics", "metrics.prom") == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["event"] for one in events] == ["start", "info", "progress"]
    assert events[0]["images"] == 4 and events[2]["counts"]["ok"] == 4
    assert set(events[2]["busy"]) == {"decode", "net", "write"}
    text = (place / "metrics.prom").read_text()
    assert '# TYPE caffe_gradcam_batch_images_total counter' in text
    assert 'caffe_gradcam_batch_images_total{status="ok"} 4\n' in text
    assert re.search(r'^caffe_gradcam_batch_stage_busy_ratio{stage="net"} 0?\.?\d+', text, re.M)


def test_without_a_terminal_progress_is_plain_lines(place, capsys):
    batch("in", "-o", "out")
    assert re.search(r"^4 of 4 images, [\d.]+/s, 0:00:00 left, 0 bad, busy: net \d+% decode \d+% "
                     r"write \d+%$", capsys.readouterr().err, re.M)


def test_questions_of_all_kinds_can_be_asked(place):
    batch("in", "-o", "out", "-q", "--versus", "blue", "green", "--counterfactual", "--limit", "1")
    row, = table("out")
    assert row["question"] == "against 0 blue, azure versus 1 green" and row["class"] is None
    batch("in", "-o", "alike", "-q", "--like", "in/0001.png", "--cosine", "--limit", "2")
    assert column("alike", "question") == ["cosine with the reference"] * 2
    assert column("alike", "score")[1] == pytest.approx(1)
    batch("in", "-o", "likely", "-q", "--class", "blue", "--probability", "--limit", "1")
    assert column("likely", "question") == ["probability of 0 blue, azure"]


@pytest.mark.parametrize("arguments, message", [
    (["nowhere", "-o", "out"], "nowhere: no such image, folder, list or archive"),
    (["in", "-o", "out", "--class", "red"], "red"),
    (["in", "-o", "out", "--style", "neon"], "neon"),
    (["in"], "-o OUT"),
    (["in", "-o", "val.txt"], "val.txt: cannot be made"),
    (["in", "-o", "out", "--device", "gpu7"], "gpu7"),
])
def test_what_cannot_be_done_is_said_in_one_sentence(place, capsys, arguments, message):
    assert batch(*arguments + ["-q"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_a_run_that_came_to_no_row_does_not_bind_the_next(place, model, capsys):
    weights = model / "colours.caffemodel"
    assert batch("in", "-o", "out", "-q", "--method", "nonsense") == 2
    weights.write_bytes(b"other")
    assert batch("in", "-o", "out", "-q") == 0
    assert batch("in", "-o", "out", "-q", "--method", "eigen-cam") == 2
    assert "out: was started with explaining" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (["--decoders", "99999999999"], "--decoders 99999999999: a run has 1 to 256 decoders"),
    (["--batch", "99999999"], "--batch 99999999: a batch has 1 to 4096 images"),
    (["--timeout", "-1"], "--timeout -1: a batch may take more than 0 and at most 1e+06 seconds"),
    (["--timeout", "nan"], "--timeout nan: a batch may take"),
])
def test_numbers_beyond_their_limits_are_refused(place, capsys, arguments, message):
    assert cli.main(["batch", "model", "in", "-o", "out", "--engine", "torch"] + arguments) == 2
    assert message in capsys.readouterr().err


def test_status_of_no_output_and_impossible_workers_are_refused(place, capsys):
    assert cli.main(["batch", "status", "in"]) == 2
    assert "in: not the output of a batch; there is no manifest.json" in capsys.readouterr().err
    for worker in ("0/4", "5/4", "1", "a/b"):
        with pytest.raises(SystemExit):
            batch("in", "-o", "out", "--worker", worker)
        assert f"expected I/N with I from 1 to N, not '{worker}'" in capsys.readouterr().err


def test_help_imports_no_heavy_library():
    program = ("import atexit, sys\nfrom caffe_gradcam.commands import cli\n"
               "atexit.register(lambda: print("
               "sorted({'cv2', 'torch', 'pyarrow', 'ray', 'fsspec', 'lmdb'} & set(sys.modules)), "
               "file=sys.stderr))\ncli.main(['batch', '--help'])")
    result = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, universal_newlines=True)
    assert result.stderr == "[]\n" and "exit codes" in result.stdout


def test_a_figure_of_another_look_is_never_replaced(place):
    assert batch("in", "-o", "out", "-q", "--limit", "1") == 0
    render = ["render", "out", "-o", "figures", "-q"]
    assert cli.main(render) == 0 and cli.main(render) == 0
    assert cli.main(render + ["--figure", "overlay"]) == 0
    plain, overlay = sorted(os.listdir("figures"), key=len)
    assert re.match(plain[:-4].replace(".", r"\.") + r"\.[0-9a-f]{8}\.png$", overlay)


def test_a_figure_of_another_image_is_refused_and_kept(place, capsys):
    assert batch("in", "-o", "out", "-q", "--limit", "1") == 0
    assert cli.main(["render", "out", "-o", "figures", "-q"]) == 0
    name, = os.listdir("figures")
    with open(os.path.join("figures", name), "wb") as file:
        file.write(b"another picture")
    assert cli.main(["render", "out", "-o", "figures", "-q"]) == 1
    assert "was made from another image or with other options" in capsys.readouterr().err
    with open(os.path.join("figures", name), "rb") as file:
        assert file.read() == b"another picture"


def test_a_figure_carries_the_recipe_of_its_batch(place):
    assert batch("in", "-o", "out", "-q", "--limit", "1", "--overlays", "1") == 0
    folder = "out/overlays/part-000000"
    name, = os.listdir(folder)
    with open(os.path.join(folder, name), "rb") as file:
        assert b'"recipe": {"format": 1' in file.read()


def test_figures_of_a_recipe_that_is_not_the_default_carry_its_hash(place):
    assert batch("in", "-o", "out", "-q", "--limit", "1", "--overlays", "1",
                 "--gradient", "positive") == 0
    name, = os.listdir("out/overlays/part-000000")
    assert re.match(r"000000000\.0000\.class-0-blue\.smaller\.grad-cam\.[0-9a-f]{8}\.png$", name)
