"""Rows of clips: one for each clip and explanation, with a map for each step in time."""

import hashlib
import os
import tarfile

import cv2
import numpy as np
import pytest
from clip_nets import C3D, FRAMES, SEGMENTS, write
from tables import table

from caffe_gradcam import explain_batch
from caffe_gradcam.batch.output.rows import to_clip_explanation
from caffe_gradcam.batch.sources import InputColumns, clips, open_source
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.clips import ClipExplainer
from caffe_gradcam.model import clip_files
from caffe_gradcam.model.clips import DEPTH, Clip
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ImageError, InputError

OPTIONS = ("-q", "--engine", "torch", "--threads", "1", "--decoders", "1", "--batch", "2")
CLIPS = InputColumns(clips=True)


def frames_into(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


@pytest.fixture
def c3d(tmp_path):
    (tmp_path / "model").mkdir()
    return str(write(tmp_path / "model", C3D))


@pytest.fixture
def source(tmp_path):
    """Three folders of frames: the net's six, two, and eight."""
    folder = tmp_path / "in"
    for name, count in (("a", 6), ("b", 2), ("c", 8)):
        frames_into(folder / name, (FRAMES + FRAMES)[:count])
    return folder


def explained(model, frames, class_index):
    """What explains single clips gives for the frames."""
    with ClipExplainer(LoadedModel.load(model), running=Running("torch")) as explainer:
        explanation, = explainer.explain(frames, [class_index]).explanations
        return explanation


def command(model, source, output, *options):
    return ["batch", model, str(source), "-o", str(output), "--part-size", "1", *OPTIONS, *options]


def test_there_is_a_row_for_each_clip_and_a_broken_one_says_why(c3d, source, tmp_path, torch,
                                                               capsys):
    arguments = command(c3d, source, tmp_path / "out", "--class", "2", "--overlays", "all")
    assert main(arguments) == 1  # one clip is too short
    rows = table(tmp_path / "out")
    assert [(row["id"], row["status"], row["frames"]) for row in rows] == [
        ("a", "ok", [0, 1, 2, 3, 4, 5]), ("b", "unreadable", None),
        ("c", "ok", [1, 2, 3, 4, 5, 6])]
    assert "the clip ends after 2 frames, and the net takes 6" in rows[1]["error"]
    explanation = explained(c3d, FRAMES, 2)
    again = to_clip_explanation(rows[0])
    assert rows[0]["cam_shape"] == list(explanation.cams.shape) == [3, 5, 6]
    np.testing.assert_allclose(again.cams, explanation.cams, rtol=1e-3, atol=1e-7)
    for heat, expected in zip(again.heatmaps(), explanation.heatmaps()):
        assert np.abs(heat - expected).max() < 2e-3
    assert rows[0]["score"] == pytest.approx(explanation.score, rel=1e-5)
    assert rows[0]["probability"] == pytest.approx(explanation.probability, rel=1e-5)
    assert (rows[0]["method"], rows[0]["layer"], rows[0]["input"]) == (
        "grad-cam", "conv1", "data")
    drawn = sorted((tmp_path / "out" / "overlays").rglob("*.png"))
    assert [path.name for path in drawn] == [
        "000000000.a.class-2.conv1.grad-cam.png", "000000002.c.class-2.conv1.grad-cam.png"]
    assert main(["batch", "verify", str(tmp_path / "out")]) == 0
    for part in (tmp_path / "out" / "parts").glob("part-000002.*"):
        part.unlink()  # As if the run had been killed before it.
    assert main(arguments) == 1
    assert table(tmp_path / "out") == rows
    _check_figures_of_rows(tmp_path, drawn)
    _check_reports(tmp_path, capsys)


def _check_figures_of_rows(tmp_path, drawn):
    """``render`` draws the filmstrip that the run drew, and refuses a clip that has changed."""
    cv2.imwrite(str(tmp_path / "in" / "c" / "3.png"), FRAMES[0][::-1])
    again = tmp_path / "again"
    assert main(["render", str(tmp_path / "out"), "-o", str(again), "-q", "--decoders", "1"]) == 1
    path, = again.iterdir()
    assert path.name == drawn[0].name and path.read_bytes() == drawn[0].read_bytes()


def _check_reports(tmp_path, capsys):
    """A page has no place for maps of clips, and says so; the table holds the scores."""
    out, table_path = str(tmp_path / "out"), tmp_path / "rows.csv"
    capsys.readouterr()
    assert main(["report", out, "-o", str(tmp_path / "page.html"), "-q"]) == 2
    assert "holds maps of clips, which `caffe-gradcam render` draws" in capsys.readouterr().err
    assert main(["report", out, "--csv", str(table_path), "-q"]) == 0
    assert len(table_path.read_text().splitlines()) == 4


def test_python_gives_the_same_rows_for_paths_and_for_frames(tmp_path, torch):
    model, seen = str(write(tmp_path, SEGMENTS)), FRAMES[0:5:2]
    folder = frames_into(tmp_path / "clip", FRAMES[:5])
    rows = explain_batch(
        [folder, {"frames": seen, "id": "mine", "class": "1"}, np.stack(seen),
         {"frames": FRAMES[:2]}, {"path": "missing.gif"}, FRAMES[0]],
        model, classes=1, stride=2, engine="torch")
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["unreadable"] * 3
    assert rows[0]["cam"] == rows[1]["cam"] == rows[2]["cam"]
    assert rows[0]["frames"] == [0, 2, 4] and rows[1]["frames"] == [0, 1, 2]
    assert rows[1]["id"] == "mine"
    assert "takes clips of 3 frames, not 2" in rows[3]["error"]
    assert "missing.gif: no such file" in rows[4]["error"]
    np.testing.assert_allclose(
        to_clip_explanation(rows[0]).cams, explained(model, seen, 1).cams, rtol=1e-3, atol=1e-7)


def test_videos_and_folders_of_frames_are_clips_and_class_folders_give_labels(tmp_path):
    frames_into(tmp_path / "in" / "cat" / "run", FRAMES[:2])
    frames_into(tmp_path / "in" / "dog", FRAMES[:1])
    for name in ("dog/jump.avi", "dog/.hidden.avi", "cat/notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"")
    items = list(open_source(str(tmp_path / "in"), class_names=["cat", "dog"], inputs=CLIPS))
    assert [(item.id, item.true_label) for item in items] == [("cat/run", 0), ("dog/jump.avi", 1)]


def test_a_folder_of_frames_a_list_and_a_pattern_are_sources_of_clips(tmp_path):
    folder = frames_into(tmp_path / "clip", FRAMES[:2])
    (tmp_path / "a.avi").write_bytes(b"")
    (tmp_path / "clips.txt").write_text("clip 1\na.avi 0\n")
    assert [item.path for item in open_source(str(folder), inputs=CLIPS)] == [str(folder)]
    assert [(os.path.basename(item.path), item.true_label) for item in open_source(
        str(tmp_path / "clips.txt"), inputs=CLIPS)] == [("clip", 1), ("a.avi", 0)]
    assert [os.path.basename(item.path) for item in open_source(
        str(tmp_path / "*"), inputs=CLIPS)] == ["a.avi", "clip"]


@pytest.mark.parametrize("name, message", [
    ("none", "no such image, folder, list or archive"),
    ("empty", "there are neither videos nor frames in this folder"),
    ("*.avi", "no clip matches this pattern"),
    ("x.bin", "neither a list nor a video by its name; the net takes clips"),
])
def test_what_is_no_source_of_clips_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.bin").write_bytes(b"\0\1\2\3")
    with pytest.raises(InputError, match=message):
        list(open_source(str(tmp_path / name), inputs=CLIPS))


def test_a_video_in_a_tar_is_a_clip(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed here")
    clip_files.write(str(tmp_path / "x.gif"), FRAMES)
    with tarfile.open(str(tmp_path / "clips.tar"), "w") as archive:
        archive.add(str(tmp_path / "x.gif"), "x.gif")
    item, = open_source(str(tmp_path / "clips.tar"), inputs=CLIPS)
    clip = clips.fetch(item, Clip(3, DEPTH, 2))
    assert clip.indices == [0, 2, 4] and len(clip.frames) == 3
    assert clip.sha256 == hashlib.sha256((tmp_path / "x.gif").read_bytes()).hexdigest()


@pytest.mark.parametrize("options, message", [
    (("--detections",), "--detections: a net that takes clips is asked about classes"),
    (("--caption",), "--caption: a net that takes clips is asked about classes"),
    (("--method", "score-cam"), "clips are explained by methods that need gradients only"),
    (("--fuse", "mean"), "--fuse: the maps of clips are not fused"),
    (("--heat-boxes", "0.5"), "--heat-boxes: boxes are found in the maps of single images"),
    (("--figure", "overlay"), "--figure overlay: clips are drawn as filmstrips"),
    (("--decode", "reduced"), "--decode reduced: the frames of clips are decoded in full"),
    (("--class", "9"), "no class 9"),
])
def test_what_cannot_be_asked_of_clips_is_refused_before_the_net_opens(torch, c3d, source, tmp_path,
                                                                      capsys, options, message):
    assert main(command(c3d, source, tmp_path / "out", *options)) == 2
    assert message in capsys.readouterr().err


def test_the_box_of_a_clip_is_refused():
    with pytest.raises(ImageError, match="a box needs a net that takes single images"):
        clips.fetch(Item.of("x.avi", box=(0, 0, 4, 4)), Clip(6, DEPTH, 1))


def test_the_frames_of_a_clip_have_one_size():
    with pytest.raises(ImageError, match="frame 1 is 12x10 and frame 2 is 12x8 pixels"):
        Clip(2, DEPTH, 1).views([FRAMES[0], FRAMES[1][:8]], None)
