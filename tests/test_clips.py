"""Nets that take clips: heatmaps for each frame."""

import json

import cv2
import numpy as np
import pytest
from clip_nets import C3D, FRAMES, FRONT, SEGMENTS, write

from caffe_gradcam import Model
from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines import Running
from caffe_gradcam.explaining.clips import ClipExplainer, in_time
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import clip_files
from caffe_gradcam.model.clips import DEPTH, ROWS, Clip
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights
from prototxt_tools.errors import ImageError, InputError, ModelError, QuestionError


@pytest.fixture
def c3d(tmp_path):
    return write(tmp_path, C3D)


@pytest.fixture
def segments(tmp_path):
    return write(tmp_path, SEGMENTS)


def explained(folder, frames, engine="torch", question=1, **explaining):
    model = LoadedModel.load(str(folder))
    with ClipExplainer(model, Explaining(**explaining), Running(engine)) as explainer:
        return explainer.explain(frames, [question]).explanations


def test_five_axes_are_a_clip_and_rows_that_one_score_joins_are_frames(tmp_path):
    assert LoadedModel.load(str(write(tmp_path, C3D))).clips == {"data": Clip(6, DEPTH, 1)}
    assert LoadedModel.load(str(write(tmp_path, SEGMENTS))).clips == {"data": Clip(3, ROWS, None)}


def test_rows_with_a_score_of_their_own_are_images(tmp_path):
    several = C3D.replace("dim: 1 dim: 3 dim: 6", "dim: 5 dim: 3")
    assert not LoadedModel.load(str(write(tmp_path, several))).clips


@pytest.mark.parametrize("net, count", [(C3D, 6), (SEGMENTS, 3)])
def test_the_maps_are_those_of_finite_differences(torch, tmp_path, net, count):
    """HiResCAM's sum over the cells is the gradient times the activation, along the activation."""
    folder = write(tmp_path, net)
    explanation, = explained(folder, FRAMES[:count], methods=("hirescam",))
    model = LoadedModel.load(str(folder))
    from opened import open_net

    views, _ = model.clips["data"].views(FRAMES[:count], model.preprocessing)
    blob = model.clips["data"].blob(views)
    with open_net("torch", model.prototxt, model.weights, [model.score], ["conv1"]) as engine:
        blobs = engine.forward({"data": blob}, ["conv1", model.score])
        more = engine.forward_from("conv1", blobs["conv1"] * 1.01, [model.score])
    slope = (more[model.score] - blobs[model.score])[0, 1] / 0.01
    assert explanation.cams.shape == (3, 5, 6)
    assert explanation.cams.sum() == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize("net, count", [(C3D, 6), (SEGMENTS, 3)])
def test_real_caffe_gives_the_same_maps(caffe, torch, tmp_path, net, count):
    folder = write(tmp_path, net)
    (real,), (ours,) = (explained(folder, FRAMES[:count], engine) for engine in ("caffe", "torch"))
    assert real.score == pytest.approx(ours.score, rel=1e-4)
    np.testing.assert_allclose(real.cams, ours.cams, rtol=1e-3, atol=1e-6)


def test_each_frame_has_a_heatmap_and_the_highest_value_of_the_clip_is_1(torch, c3d):
    explanation, = explained(c3d, FRAMES)
    heatmaps = explanation.heatmaps()
    assert [heat.shape for heat in heatmaps] == [(10, 12)] * 6
    assert max(heat.max() for heat in heatmaps) == 1
    assert min(heat.min() for heat in heatmaps) >= 0


def test_between_the_steps_of_a_layer_maps_are_interpolated():
    cams = np.array([0.0, 1.0]).reshape(2, 1, 1)
    assert in_time(cams, 4).ravel().tolist() == [0, 0.25, 0.75, 1]
    assert in_time(cams[:1], 3).ravel().tolist() == [0, 0, 0]


def test_frames_are_taken_around_the_middle_at_the_stride_or_spread_evenly():
    assert Clip(3, DEPTH, 2).chosen(9, "x") == [2, 4, 6]
    assert Clip(3, ROWS).chosen(9, "x") == [1, 4, 7]


@pytest.mark.parametrize("clip, message", [
    (Clip(8, DEPTH, 1), "x.avi: the clip ends after 5 frames, and the net takes 8$"),
    (Clip(3, DEPTH, 4), "ends after 5 frames, and the net takes 3, every 4th one of 9"),
])
def test_a_clip_that_ends_early_is_refused(clip, message):
    with pytest.raises(ImageError, match=message):
        clip.chosen(5, "x.avi")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_a_video_that_was_written_is_read_again(tmp_path, name):
    pytest.importorskip("av", reason="PyAV is not installed here")
    frames = [np.full((32, 48, 3), 40 * shade, np.uint8) for shade in range(6)]
    path = str(tmp_path / name)
    clip_files.write(path, frames)
    again = clip_files.read(path, Clip(6, DEPTH, 1))
    assert [frame.shape for frame in again] == [(32, 48, 3)] * 6
    for frame, expected in zip(again, frames):
        assert abs(frame.mean() - expected.mean()) < 20


def test_a_folder_of_frames_is_read_in_the_order_of_their_numbers(tmp_path):
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((4, 4, 3), number, np.uint8))
    frames = clip_files.read(str(tmp_path), Clip(12, DEPTH, 1))
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(12))


def test_a_file_that_is_no_video_is_refused_in_a_sentence(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed here")
    path = tmp_path / "x.mp4"
    path.write_bytes(b"#EXTM3U\n/etc/passwd\n")
    with pytest.raises(InputError, match="x.mp4: this video cannot be read") as caught:
        clip_files.read(str(path), Clip(2, DEPTH, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings, error, message", [
    ({"methods": ("score-cam",)}, QuestionError, "by methods that need gradients only"),
    ({"methods": ("d-rise",)}, QuestionError, "by methods that need gradients only"),
    ({"layers": ("fc",)}, QuestionError, "fc .* has no spatial extent"),
])
def test_what_cannot_be_explained_is_refused(torch, c3d, settings, error, message):
    with pytest.raises(error, match=message):
        explained(c3d, FRAMES, **settings)


def test_another_number_of_frames_is_refused(torch, c3d):
    with pytest.raises(ImageError, match="takes clips of 6 frames, not 4"):
        explained(c3d, FRAMES[:4])


def test_what_explains_images_refuses_a_net_that_takes_clips(torch, c3d):
    with pytest.raises(ModelError, match="the net takes clips"):
        Explainer.open(LoadedModel.load(str(c3d)), running=Running("torch"))


def test_the_command_writes_a_filmstrip_and_a_video_and_goes_on_after_a_bad_clip(
        torch, c3d, tmp_path, capsys):
    pytest.importorskip("av", reason="PyAV is not installed here")
    frames, short, out = tmp_path / "frames", tmp_path / "short.gif", tmp_path / "out"
    frames.mkdir()
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(frames / f"{number}.png"), frame)
    clip_files.write(str(short), FRAMES[:2])
    status = main(["explain", str(c3d), str(short), str(frames), "-o", str(out), "--engine",
                   "torch", "--class", "2", "--video", "gif", "--json"])
    assert status == 1
    failed, row = json.loads(capsys.readouterr().out)["images"]
    assert failed["error"].endswith("the clip ends after 2 frames, and the net takes 6")
    assert row["frames"] == 6
    assert sorted(path.name for path in out.iterdir()) == [
        "frames.2.conv1.grad-cam.gif", "frames.2.conv1.grad-cam.png"]


def test_python_explains_a_clip_in_a_folder_or_as_frames(torch, c3d, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    model = Model.load(str(c3d))
    results = [model.explain_clip(clip, 2, running=Running("torch")) for clip in (folder, FRAMES)]
    cams = [result.explanations[0].cams for result in results]
    np.testing.assert_array_equal(*cams)


def test_a_clip_net_of_c3d_1_0_is_read_with_its_own_layers_and_weights(tmp_path):
    """The same net as ``C3D``, in the definition and in the weights file of that fork."""
    pytest.importorskip("torch")
    old = """
        input: "data" input_dim: 1 input_dim: 3 input_dim: 6 input_dim: 10 input_dim: 12
        layers { name: "conv1" type: CONVOLUTION3D bottom: "data" top: "conv1"
                 convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 3 pad: 1
                                     temporal_pad: 1 stride: 2 temporal_stride: 2 } }
        layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
        layers { name: "fc" type: INNER_PRODUCT bottom: "conv1" top: "fc"
                 inner_product_param { num_output: 3 } }
        layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }"""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    new = write(tmp_path / "new", C3D)
    learned = weights.load(str(new / "net.caffemodel"))
    (tmp_path / "old" / "deploy.prototxt").write_text(old)
    (tmp_path / "old" / "readme.md").write_text(FRONT.replace(", resize: none", ""))
    (tmp_path / "old" / "net.caffemodel").write_bytes(b"".join(
        field(2, field(4, name.encode()) + b"".join(field(6, c3d_blob(blob)) for blob in blobs))
        for name, blobs in learned.items()))
    expected, = explained(new, FRAMES)
    actual, = explained(tmp_path / "old", FRAMES)
    np.testing.assert_allclose(actual.cams, expected.cams, rtol=1e-5)
    assert actual.score == pytest.approx(expected.score)


def c3d_blob(array):
    """A blob as C3D 1.0 writes it: num, channels, length, height, width, then the values."""
    sizes = (1,) * (5 - array.ndim) + array.shape
    return b"".join(bytes([number << 3]) + varint(size) for number, size in enumerate(sizes, 1)
                    ) + field(6, array.astype("<f4").tobytes())


def field(number, payload):
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


def varint(value):
    head = b""
    while value > 127:
        head, value = head + bytes([value & 127 | 128]), value >> 7
    return head + bytes([value])
