"""Inputs by name, of any shape, from files, the command line and Python; one sentence where they
do not fit."""

import json

import numpy as np
import pytest
from cases import path_of
from input_kinds import AXES, item, net, signal, write_files

from caffe_gradcam import Model
from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import array_files, array_inputs
from caffe_gradcam.model.bands import as_bands, as_colors
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import ImageError, InputError, ModelError


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A current folder with images, a signal and arrays."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explain(capsys, name, *arguments):
    """The exit code, the images of the report and what stderr holds."""
    code = main(["explain", path_of(name), *arguments, "-o", "out", "--json", "--engine", "torch"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out)["images"] if printed.out else [], printed.err


def refusal(call, *arguments, **keywords):
    with pytest.raises(InputError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(AXES))
def test_the_axes_of_the_scores_are_read_from_the_net(name):
    assert net(name).layout.axes == AXES[name]


def test_rows_of_scores_are_turned_back_into_the_blob():
    for name in sorted(AXES):
        model = net(name)
        shape = model.shapes[model.score]
        blob = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        rows = model.layout.rows(blob)
        assert rows.shape[:2] == (1, model.layout.count(shape))
        np.testing.assert_array_equal(model.layout.to_blob(rows, shape), blob)


def test_inputs_that_are_no_pictures_are_described_with_what_reads_them():
    arrays = net("lrcn").arrays
    assert arrays["cont_sentence"].takes == "6 x 1 numbers; LSTM lstm1 reads it"
    assert arrays["input_sentence"].takes == "6 x 1 numbers; Embed embedding reads it"
    assert net("frcnn").arrays["rois"].item_axis is None


def test_regions_whose_boxes_are_moved_have_a_background():
    assert net("frcnn").layout.background == 0
    assert net("rois").layout.background is None


def test_python_finds_boxes_in_regions_that_are_given_by_name(torch):
    boxes, = Model.load(path_of("frcnn")).detect(
        [item("frcnn")], 0, running=Running("torch"))
    assert boxes and {axis for box in boxes for axis, _ in box.position} == {"roi"}


def test_pictures_that_are_stacked_in_one_blob_are_named_after_their_slices():
    model = net("pair")
    assert list(model.inputs) == ["data", "data_p"]
    values = prepare(item("pair"), model.inputs).blobs
    fed = model.net_inputs(values)
    assert list(fed) == ["pair_data"] and fed["pair_data"].shape == (1, 6, 32, 32)
    np.testing.assert_array_equal(fed["pair_data"][:, 3:], values["data_p"])


ARRAY = np.float32([[1, 2, 3], [4, 5, 6]])


def written(folder, kind):
    """The array in a file of a kind; its name, with a key where there are several arrays."""
    path = str(folder / ("x." + kind))
    if kind == "npy":
        np.save(path, ARRAY)
    elif kind == "npz":
        np.savez(path, a=ARRAY, b=ARRAY + 1)
        return path + ":a"
    elif kind == "h5":
        h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
        with h5py.File(path, "w") as file:
            file["group/a"], file["b"] = ARRAY, ARRAY + 1
        return path + ":group/a"
    elif kind == "tif":
        tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed here")
        tifffile.imwrite(path, ARRAY)
    elif kind == "json":
        with open(path, "w") as file:
            json.dump(ARRAY.tolist(), file)
    else:
        np.savetxt(path, ARRAY, delimiter="," if kind == "csv" else " ")
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "h5", "tif", "json", "txt", "csv"])
def test_an_array_is_read_from_every_kind_of_file(tmp_path, kind):
    np.testing.assert_array_equal(array_files.read(written(tmp_path, kind)), ARRAY)


def test_a_number_fills_an_input():
    spec = net("lrcn").arrays["cont_sentence"]
    np.testing.assert_array_equal(array_inputs.fit(1, spec, ""), np.ones((6, 1), np.float32))


@pytest.mark.parametrize("content, words", [
    (b"", "the file is empty"), (b"1 2\n3", "in rows of the same length"), (b"one", "numbers"),
    (b"\x93NUMPY broken", "a damaged .npy file"), (b"PK\x03\x04 broken", "a damaged .npz file"),
    (b"[[1], [2, 3]]", "an array of numbers"), (b"\xff\xfe\x00", "neither an array nor text"),
])
def test_files_that_hold_no_array_are_refused_in_one_sentence(tmp_path, content, words):
    path = tmp_path / "x.dat"
    path.write_bytes(content)
    message = refusal(array_files.read, str(path))
    assert message.startswith(str(path)) and words in message


def test_a_file_of_several_arrays_needs_a_key(tmp_path):
    path = written(tmp_path, "npz").partition(":a")[0]
    assert refusal(array_files.read, path) == (
        f"{path}: the file holds 2 arrays; name one, such as {path}:a")
    assert refusal(array_files.read, path + ":c") == (
        f"{path}: there is no array 'c'; there are a, b")


def test_datasets_in_groups_of_an_hdf5_file_are_named(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = str(tmp_path / "x.h5")
    with h5py.File(path, "w") as file:
        file["group/b"] = np.ones(4)
    assert (array_files.read(path) == array_files.read(path + ":group/b")).all()
    with h5py.File(path, "a") as file:
        file["a"] = np.zeros(4)
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    assert refusal(array_files.read, path) == (
        f"{path}: the file holds 2 arrays; name one, such as {path}:a")
    for key in ("group", "elsewhere", "group/c"):
        assert refusal(array_files.read, f"{path}:{key}") == (
            f"{path}: there is no array '{key}'; there are a, group/b")


@pytest.mark.parametrize("value, words", [
    (np.zeros((5, 1)), "takes 6 x 1 numbers (LSTM lstm1 reads it), not 5 x 1 numbers"),
    (np.zeros((6, 3)), "not 6 x 3 numbers for 3 items, where there is one image"),
    (np.full((6, 1), np.nan), "and these hold NaN, infinity or what float32 cannot hold"),
    (np.zeros((0, 1)), "not an empty array"), (1e99, "or what float32 cannot hold"),
    ("a text", "not 'a text'"),
])
def test_an_array_that_does_not_fit_is_refused_with_what_the_input_takes(value, words):
    spec = net("lrcn").arrays["cont_sentence"]
    message = refusal(array_inputs.fit, value, spec, "")
    assert message.startswith("input cont_sentence takes ") and words in message


def test_an_array_may_lack_the_axis_of_its_items():
    spec = net("lrcn").arrays["cont_sentence"]
    assert array_inputs.fit(np.arange(6), spec, "").shape == (6, 1)


def test_there_may_be_any_number_of_regions():
    spec = net("frcnn").arrays["rois"]
    assert array_inputs.fit(np.zeros((7, 5)), spec, "").shape == (7, 5)
    assert "not 7 x 4 numbers" in refusal(array_inputs.fit, np.zeros((7, 4)), spec, "")


@pytest.mark.parametrize("shape", [(250,), (1, 250), (250, 1), (1, 1, 250), (1, 1, 1, 250)])
def test_a_signal_may_have_any_axes_of_one(shape):
    values = net("sig1d").preprocessing
    picture = as_bands(signal().reshape(shape), values, "x")
    np.testing.assert_array_equal(picture[0, :, 0], signal())


def test_channels_may_come_first_or_last():
    values = net("ch4").preprocessing
    picture = np.random.RandomState(0).rand(32, 32, 4)
    np.testing.assert_array_equal(as_bands(picture, values, "x"), picture)
    np.testing.assert_array_equal(as_bands(picture.transpose(2, 0, 1), values, "x"), picture)
    assert "takes pixels of 4 channels" in refusal(as_bands, picture[:, :, :3], values, "x")


def test_each_channel_has_its_mean_and_scale():
    model = net("ch4", mean="1,2,3,4", scale=2, resize="none")
    picture = np.random.RandomState(0).rand(32, 32, 4).astype(np.float32)
    blob = prepare(picture, model.inputs).blobs["data"][0]
    np.testing.assert_allclose(blob, (picture.transpose(2, 0, 1)
                                      - np.float32([1, 2, 3, 4])[:, None, None]) * 2, rtol=1e-5)


def test_pictures_without_colours_are_shown_by_their_first_three_channels():
    picture = np.float32(np.random.RandomState(0).rand(4, 5, 6))
    colors = as_colors(picture)
    assert colors.shape == (4, 5, 3) and colors.dtype == np.uint8 and colors.max() == 255
    assert (as_colors(picture[:, :, :1])[:, :, 0] == as_colors(picture[:, :, :1])[:, :, 2]).all()


def test_what_is_needed_and_not_given_is_named_with_its_shape_and_its_use(files, torch, capsys):
    code, rows, err = explain(capsys, "lrcn", "0.png")
    assert (code, rows) == (2, [])
    assert err == (
        "caffe-gradcam: nothing is given for inputs cont_sentence (6 x 1 numbers; LSTM lstm1 reads "
        "it), input_sentence (6 x 1 numbers; Embed embedding reads it); give cont_sentence=FILE or "
        "cont_sentence=NUMBER\n")


def test_an_array_that_is_given_once_holds_for_all_images(files, torch, capsys):
    code, rows, _ = explain(capsys, "lrcn", "0.png", "1.png", "cont_sentence=cont.npy",
                            "input_sentence=words.npy", "--class", "6", "--step", "3")
    assert code == 0 and [row["path"] for row in rows] == ["0.png", "1.png"]
    for row in rows:
        assert row["explanations"][0]["question"] == "6 at step 3"
        assert row["explanations"][0]["figure"].endswith(".png")


def test_one_item_that_does_not_fit_leaves_the_others(files, torch, capsys):
    np.save("short.npy", np.zeros(4))
    code, rows, err = explain(
        capsys, "lrcn", "data=0.png", "data=1.png", "cont_sentence=short.npy",
        "cont_sentence=1", "input_sentence=words.npy")
    assert code == 1 and "explanations" in rows[1] and "not 4 numbers" in rows[0]["error"]
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments, words", [
    (["data=0.png", "cont_sentnce=1", "input_sentence=words.npy"], "did you mean cont_sentence?"),
    (["data=0.png", "data=1.png", "data=2.png", "cont_sentence=1", "cont_sentence=0",
      "input_sentence=1"], "there are 3 for data, 2 for cont_sentence"),
    (["0.png", "cont_sentence=1", "input_sentence=1", "--step", "6"],
     "there is no step 6; the net gives scores for 6 steps, 0 to 5"),
    (["0.png", "cont_sentence=1", "input_sentence=1", "--prior", "1"],
     "the scores of this net have no priors"),
    (["0.png", "cont_sentence=1", "input_sentence=1", "--class", "20"],
     "there is no class 20; the net's classes are 0 to 19"),
])
def test_what_cannot_be_asked_is_refused_before_the_engine_opens(files, capsys, arguments, words):
    code, rows, err = explain(capsys, "lrcn", *arguments)
    assert code == 2 and not rows and words in err and err.count("\n") == 1


def test_a_region_that_is_not_there_fails_with_its_image(files, torch, capsys):
    code, rows, err = explain(capsys, "frcnn", "0.png", "rois=rois.npy", "--prior", "5")
    assert code == 2 and "there is no region of interest 5; the net gives scores for 3" in err


def test_a_signal_is_drawn_as_a_curve_with_the_heat_under_it(files, torch, capsys):
    code, rows, _ = explain(capsys, "sig1d", "signal.npy")
    figure = rows[0]["explanations"][0]
    assert code == 0 and figure["cam_shape"] == [1, 63]
    assert figure["figure"].startswith("out/signal")


def test_python_takes_arrays_beside_pictures(torch):
    with Model.load(path_of("lrcn"), mean="none") as model:
        explanations = model.explain([item("lrcn", 0), item("lrcn", 1)], 6, engine="torch")
        assert [explanation.class_index for explanation in explanations] == [6, 6]
        assert explanations[0].position and explanations[0].image.shape == (40, 52, 3)
        assert "needs an image for each: {'data': image, 'cont_sentence': array, " in refusal(
            model.explain, item("lrcn")["data"], engine="torch")


def test_python_draws_signals_and_pictures_of_four_channels(torch):
    for name in ("sig1d", "ch4"):
        with Model.load(path_of(name), mean="none") as model:
            figure = model.explain([item(name)], engine="torch")[0].figure()
            assert figure.dtype == np.uint8 and figure.ndim == 3 and min(figure.shape[:2]) > 30


@pytest.mark.parametrize("resize, size", [
    ("none", (40, 52)), ("long:26", (20, 26)), ("long:104", (80, 104))])
def test_fully_convolutional_nets_take_images_at_their_own_size(resize, size):
    model = net("fcn", resize=resize)
    assert prepare(item("fcn"), model.inputs).blobs["data"].shape[2:] == size


def test_a_bare_number_is_the_short_side_before_the_crop():
    assert net("fcn", resize=150).preprocessing.crop == (96, 128)


def test_values_of_inputs_may_stand_in_the_readme(tmp_path, torch):
    for name in ("deploy.prototxt", "net.caffemodel", "words.npy"):
        with open(path_of("lrcn/" + name), "rb") as file:
            (tmp_path / name).write_bytes(file.read())
    (tmp_path / "readme.md").write_text(
        "---\ngradcam:\n  inputs:\n    data: {mean: none}\n    cont_sentence: {value: 1}\n"
        "    input_sentence: {value: words.npy}\n---\n")
    with Model.load(tmp_path) as model:
        assert model.origins["cont_sentence.value"] == "readme.md"
        assert model.explain(item("lrcn")["data"], engine="torch")[0].position
    (tmp_path / "readme.md").write_text(
        "---\ngradcam:\n  inputs:\n    cont_sentence: {value: ../x.npy}\n---\n")
    assert "must name a file in the model's folder" in refusal(Model.load, tmp_path)
    (tmp_path / "readme.md").write_text(
        "---\ngradcam:\n  inputs:\n    cont_sentence: {mean: 1}\n---\n")
    assert "unknown key gradcam.inputs.cont_sentence.mean" in refusal(Model.load, tmp_path)


def test_outputs_have_their_names_and_are_asked_about_one_by_one(tmp_path, torch):
    with Model.load(path_of("ch4"), outputs=["left", "top", "right", "bottom"],
                    mean="none") as model:
        explanations = model.explain([item("ch4")], engine="torch")
        assert [explanation.question for explanation in explanations] == [
            "output 0 left", "output 1 top", "output 2 right", "output 3 bottom"]
        assert model.explain([item("ch4")], "right", engine="torch")[0].class_index == 2
    assert "outputs names 2 outputs, but the score blob has 4" in refusal(
        Model.load, path_of("ch4"), outputs=["x", "y"])


def test_errors_of_inputs_keep_their_classes():
    spec = net("lrcn").arrays["cont_sentence"]
    with pytest.raises(ImageError):
        array_inputs.fit(np.zeros(3), spec, "")
    with pytest.raises(ModelError):
        Model.load(path_of("ch4"), outputs=["x"])


@pytest.mark.parametrize("method", ["ablation-cam", "score-cam", "rise"])
def test_methods_that_run_the_net_again_see_the_sequence_of_each_image(torch, method):
    items = [item("lrcn", number) for number in range(3)]
    items[1] = dict(items[1], input_sentence=(np.asarray(items[1]["input_sentence"]) + 3) % 20)
    with Explainer.open(net("lrcn"), Explaining((method,), samples=20),
                        Running("torch")) as explainer:
        together = [outcome.unwrap() for outcome in explainer.explain(items, [6])]
        alone = [explainer.explain([entry], [6])[0].unwrap() for entry in items]
    for ours, theirs in zip(together, alone):
        np.testing.assert_allclose(ours.explanations[0].cam, theirs.explanations[0].cam,
                                   rtol=1e-3, atol=1e-6)
