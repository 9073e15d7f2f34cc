"""Set-ups that are broken on purpose, and what the doctor says of each."""

import importlib.util
import shutil

import numpy as np
import pytest

from caffe_gradcam import doctor
from caffe_gradcam.commands import cli
from prototxt_tools import weights as weight_files


@pytest.fixture(scope="module")
def working():
    """An engine of this machine."""
    kinds = [kind for kind in ("torch", "caffe") if importlib.util.find_spec(kind)]
    if not kinds:
        pytest.skip("neither torch nor pycaffe is installed here")
    return [(kinds[0], "cpu")]


class Setup:
    """A copy of models/digits to break."""

    def __init__(self, folder, models):
        shutil.copytree(str(models / "digits"), str(folder))
        (folder / "train.prototxt").unlink()
        (folder / "solver.prototxt").unlink()
        self.folder = folder
        self.pictures = sorted(str(path) for path in (folder / "scenes").glob("*.png"))

    def edit(self, name, old, new):
        """Replace words of a file."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def reweigh(self, change):
        """Change the weights; the sum in the readme.md goes."""
        path = str(self.folder / "digits.caffemodel")
        loaded = {name: [np.array(blob) for blob in blobs]
                  for name, blobs in weight_files.load(path).items()}
        change(loaded)
        weight_files.save(path, loaded)
        self.edit("readme.md", "sha1: ca9f3cac2034b2ebacb0f413fbf611eff69d6c70\n", "")


@pytest.fixture
def setup(tmp_path, models):
    return Setup(tmp_path / "digits", models)


def diagnose(setup, working, pictures=None, **overrides):
    """Everything that is not well, as "severity check: what -> remedy"."""
    findings = doctor.examine_model(
        str(setup.folder), setup.pictures if pictures is None else pictures, None, working,
        overrides)
    bad = [one for one in findings if one.severity in ("warning", "error")]
    return [f"{one.severity} {one.check}: {one.what} -> {one.remedy}" for one in bad]


def only(lines):
    assert len(lines) == 1, lines
    return lines[0]


def test_the_whole_model_is_found_well(setup, working):
    assert diagnose(setup, working) == []


def test_1_weights_that_are_a_git_lfs_pointer(setup, working):
    (setup.folder / "digits.caffemodel").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    lines = diagnose(setup, working)
    assert any("error weights" in line and "Git LFS pointer" in line for line in lines)


def test_2_weights_that_are_missing(setup, working):
    (setup.folder / "digits.caffemodel").unlink()
    line = only(diagnose(setup, working))
    assert line.startswith("error model: ") and "missing" in line
    assert line.endswith("put the weights into the folder, or give --weights")


def test_3_weights_of_another_net(setup, working):
    def change(weights):
        weights["conv2"][0] = np.zeros((32, 16, 5, 5), np.float32) + 0.1

    setup.reweigh(change)
    line = only(diagnose(setup, working))
    assert line.startswith("error weights: ") and "conv2" in line
    assert "these weights belong to another net" in line


def test_4_weights_whose_layers_were_renamed(setup, working):
    setup.reweigh(lambda weights: weights.update(score_new=weights.pop("score")))
    line = only(diagnose(setup, working))
    assert "has no weights for 1 layers: score" in line and "score_new" in line


def test_5_weights_of_a_training_that_diverged(setup, working):
    def change(weights):
        weights["conv3"][0][0, 0] = np.nan

    setup.reweigh(change)
    line = only(diagnose(setup, working))
    assert "error weights: layer conv3 holds 9 values that are NaN or infinite" in line


def test_6_a_label_too_few(setup, working):
    lines = (setup.folder / "labels.txt").read_text().splitlines()
    (setup.folder / "labels.txt").write_text("\n".join(lines[1:]))
    line = only(diagnose(setup, working))
    assert "warning labels: " in line and "9 labels for 10 classes" in line
    assert "a line for the background may be missing" in line


def test_7_a_net_for_training(setup, models, working):
    shutil.copy(str(models / "digits" / "train.prototxt"), str(setup.folder / "deploy.prototxt"))
    lines = diagnose(setup, working)
    assert any("this is not a deploy net -> prototxt-tools deploy" in line for line in lines)


def test_8_a_brace_that_is_missing(setup, working):
    setup.edit("deploy.prototxt", 'layer { name: "prob" type: "Softmax" bottom: "score" '
               'top: "prob" }', 'layer { name: "prob" type: "Softmax" bottom: "score" ')
    line = only(diagnose(setup, working))
    assert line.startswith("error net: ") and "deploy.prototxt:" in line


def test_9_a_field_of_a_fork(setup, working):
    setup.edit("deploy.prototxt", "pool: MAX kernel_size: 2", "pool: MAX ceil_mode: true "
               "kernel_size: 2")
    lines = diagnose(setup, working)
    assert any("warning stock Caffe" in line and "ceil_mode" in line and "rewrite" in line
               for line in lines)


def test_10_a_layer_that_runs_code(setup, working):
    setup.edit("deploy.prototxt", 'layer { name: "relu1" type: "ReLU" bottom: "conv1" '
               'top: "conv1" }', 'layer { name: "relu1" type: "Python" bottom: "conv1" top: '
               '"conv1" python_param { module: "evil" layer: "Evil" } }')
    lines = diagnose(setup, working)
    assert any("warning audit" in line and "relu1" in line and "Python code" in line
               for line in lines)


def test_11_a_scale_that_was_forgotten(setup, working):
    line = only(diagnose(setup, working, scale=1.0))
    assert "warning scale: all probabilities are 1" in line
    assert "the scale of 1 is too large: with --scale 0.003922 the first class has 0.87" in line


def test_12_a_scale_that_was_applied_twice(setup, working):
    line = only(diagnose(setup, working, scale=1 / 65536.0))
    assert "warning scale: the answers hardly depend on the images" in line
    assert "too small: with --scale 0.007812" in line


def test_13_a_mean_that_was_forgotten(setup, working):
    line = only(diagnose(setup, working, mean="none"))
    assert "warning mean: the mean is probably another one" in line and "try --mean 128" in line


COLOURS = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "see" type: "Convolution" bottom: "data" top: "seen"
        convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "seen" top: "seen" }
layer { name: "pool" type: "Pooling" bottom: "seen" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score"
        inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""


def colours(folder, head=None, relu_bias=0.0):
    """A net that tells sky (more of the first channel) and leaves all else undecided."""
    folder.mkdir()
    (folder / "deploy.prototxt").write_text(COLOURS)
    (folder / "labels.txt").write_text("sky\na\nb\nc\n")
    (folder / "readme.md").write_text(
        "---\ngradcam:\n  inputs: {mean: none, resize: [8, 8]}\n---\n")
    if head is None:
        head = np.float32([[0.04, 0.01], [0, 0], [0, 0], [0, 0]])
    see = np.float32([[1, 0, -1], [0, 1, 0]]).reshape(2, 3, 1, 1)
    weight_files.save(str(folder / "net.caffemodel"), {
        "see": [see, np.full(2, relu_bias, np.float32)],
        "score": [head, np.zeros(4, np.float32)]})
    return folder


def picture(folder, name, blue, green, red):
    from caffe_gradcam.model import images

    pixels = np.empty((16, 16, 3), np.uint8)
    pixels[:] = blue, green, red
    pixels[4:8, 4:8] //= 2
    images.write(str(folder / name), pixels)
    return str(folder / name)


class Folder:
    def __init__(self, folder, pictures=()):
        self.folder, self.pictures = folder, list(pictures)


def test_14_red_and_blue_swapped(tmp_path, working):
    setup = Folder(colours(tmp_path / "net"))
    sky = [picture(tmp_path, name, 220, 90, red) for name, red in (("1.png", 20), ("2.png", 60))]
    assert diagnose(setup, working, sky) == []
    line = only(diagnose(setup, working, sky, channel_order="RGB"))
    assert "warning channel order: red and blue are probably swapped" in line
    assert "try --channel-order BGR" in line


def test_15_a_relu_that_lets_nothing_through(tmp_path, working):
    setup = Folder(colours(tmp_path / "net", relu_bias=-1000.0))
    sky = [picture(tmp_path, "1.png", 220, 90, 20)]
    lines = diagnose(setup, working, sky)
    assert any("error activations: seen holds nothing but 0: layer relu (ReLU) cuts every value of "
               "blob seen to 0" in line for line in lines)


def test_16_a_head_that_was_never_trained(tmp_path, working):
    setup = Folder(colours(tmp_path / "net", head=np.zeros((4, 2), np.float32)))
    lines = diagnose(setup, working, [picture(tmp_path, "1.png", 220, 90, 20)])
    assert any("warning weights: all weights are 0 in score" in line for line in lines)
    assert any("error gradients: all gradients at seen are 0: all weights of layer score, which "
               "the score depends on, are 0" in line for line in lines)


def test_17_the_softmax_named_as_score(setup, working):
    setup.edit("readme.md", "score: score", "score: prob")
    line = only(diagnose(setup, working))
    assert line.startswith("error model: ") and "give --score score" in line


def test_18_a_target_that_is_none(setup, working):
    setup.edit("readme.md", "layer: branches/concat", "layer: pool")
    line = only(diagnose(setup, working))
    assert line.startswith("error model: ") and "no spatial extent" in line


def test_19_numbers_that_overflow(setup, working):
    def change(weights):
        weights["conv2"][0][:] = 3e30
        weights["conv3"][0][:] = 3e30

    setup.reweigh(change)
    line = only(diagnose(setup, working))
    assert "error numbers: blob conv3, which layer conv3 of type Convolution makes, holds" in line
    assert "weights of conv3 are too large" in line


def test_20_other_weights_than_the_readme_says(setup, working):
    setup.reweigh(lambda weights: None)
    setup.edit("readme.md", "license:", "sha1: abcdef\nlicense:")
    line = only(diagnose(setup, working))
    assert "warning model: " in line and "its SHA-1 is not the one in readme.md" in line


def test_21_a_field_misspelt_in_the_readme(setup, working):
    setup.edit("readme.md", "layer:", "lyaer:")
    line = only(diagnose(setup, working))
    assert "did you mean layer?" in line and line.endswith("correct the front matter")


def test_22_a_mean_of_three_numbers_for_a_grey_net(setup, working):
    setup.edit("readme.md", "mean: [128]", "mean: [104, 117, 123]")
    line = only(diagnose(setup, working))
    assert line.startswith("error model: the mean has 3 channels, but the net's input has 1")


def test_23_a_batchnorm_without_statistics(tmp_path, working):
    setup = Folder(colours(tmp_path / "net"))
    text = COLOURS.replace('layer { name: "relu"', 'layer { name: "bn" type: "BatchNorm" bottom: '
                           '"seen" top: "seen" batch_norm_param { eps: 0 } }\nlayer { name: "relu"')
    (setup.folder / "deploy.prototxt").write_text(text)
    path = str(setup.folder / "net.caffemodel")
    loaded = dict(weight_files.load(path))
    loaded["bn"] = [np.ones(2, np.float32), np.zeros(2, np.float32), np.ones(1, np.float32)]
    weight_files.save(path, {name: loaded[name] for name in ("see", "bn", "score")})
    line = only(diagnose(setup, working, [picture(tmp_path, "1.png", 220, 90, 20)]))
    assert "error numbers: blob seen" in line and " holds " in line


def test_24_a_picture_that_is_none(setup, working):
    (setup.folder / "not.png").write_text("hello")
    line = only(diagnose(setup, working, setup.pictures[:2] + [str(setup.folder / "not.png")]))
    assert line.startswith("warning image: ") and "not.png" in line


def test_25_a_softmax_that_is_merely_sure_is_a_note(tmp_path, working):
    head = np.float32([[0.2, 0], [0, 0], [0, 0], [0, 0]])
    setup = Folder(colours(tmp_path / "net", head=head))
    found = doctor.examine_model(str(setup.folder), [picture(tmp_path, "1.png", 220, 90, 20)],
                                 None, working)
    notes = [one for one in found if one.check == "softmax"]
    assert len(notes) == 1 and notes[0].severity == "note"
    assert "the Softmax is saturated" in notes[0].what
    assert notes[0].remedy == "explain starts at score, before the Softmax"


def test_26_a_folder_that_is_not_there(working, tmp_path):
    line = only(diagnose(Folder(tmp_path / "nothing"), working))
    assert line.startswith("error net: ") and "no such model folder" in line


def test_27_a_relu_behind_the_target_that_lets_nothing_through(tmp_path, working):
    setup = Folder(colours(tmp_path / "net"))
    text = COLOURS.replace('bottom: "pool" top: "score"', 'bottom: "hidden" top: "score"').replace(
        'layer { name: "score"', 'layer { name: "hidden" type: "InnerProduct" bottom: "pool" top: '
        '"hidden" inner_product_param { num_output: 2 } }\n'
        'layer { name: "dead" type: "ReLU" bottom: "hidden" top: "hidden" }\n'
        'layer { name: "score"')
    (setup.folder / "deploy.prototxt").write_text(text)
    path = str(setup.folder / "net.caffemodel")
    loaded = dict(weight_files.load(path))
    loaded["hidden"] = [np.eye(2, dtype=np.float32), np.full(2, -1e6, np.float32)]
    weight_files.save(path, {name: loaded[name] for name in ("see", "hidden", "score")})
    lines = diagnose(setup, working, [picture(tmp_path, "1.png", 220, 90, 20)])
    assert any("error gradients: all gradients at seen are 0: layer dead (ReLU) cuts every value "
               "of blob hidden to 0" in line for line in lines)


def test_28_an_engine_that_refuses_the_net_gives_way_to_the_next(setup, working, monkeypatch):
    from caffe_gradcam.doctor import running
    from prototxt_tools.errors import EngineError

    opened = running.opened

    def refusing(model, kind, device):
        if kind == "caffe":
            raise EngineError("Caffe has no layer type 'Axpy' (layer a)")
        return opened(model, kind, device)

    if working[0][0] == "caffe":
        pytest.skip("wants torch")
    monkeypatch.setattr(running, "opened", refusing)
    both = [("caffe", "cpu")] + working
    line = only(diagnose(setup, both))
    assert line == ("warning run: caffe on cpu: Caffe has no layer type 'Axpy' (layer a) -> "
                    "another engine is tried")
    line = only(diagnose(setup, [("caffe", "cpu")]))
    assert line.startswith("error run: caffe on cpu: Caffe has no layer type 'Axpy'")


def test_a_plugin_of_the_doctor_is_imported_first(capsys):
    assert cli.main(["doctor", "--plugin", "absent_module"]) == 2
    assert "plugin 'absent_module' cannot be imported" in capsys.readouterr().err
