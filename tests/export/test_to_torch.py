"""A Caffe net as a torch.nn.Module, for the libraries that explain such modules."""

import json

import definitions
import numpy as np
import pytest

from caffe_gradcam import Model
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from prototxt_tools.errors import QuestionError

torch = pytest.importorskip("torch")


@pytest.fixture
def digits(models):
    return Model.load(str(models / "digits"))


def random_images(shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["lenet", "densenet", "pooled_linear"])
def test_every_blob_is_that_of_the_engine(name, tmp_path):
    text = getattr(definitions, name)()
    prototxt, caffemodel = definitions.write_model(tmp_path, text)
    model = Model.load(prototxt, caffemodel)
    images = random_images((2,) + tuple(model.shapes["data"][1:]))
    blobs = model.to_torch().blobs(torch.from_numpy(images))
    net = NetToRun(model.prototxt, model.weights, (model.score,), model.layers)
    with open_engine(net, Running(engine="torch")) as engine:
        expected = engine.forward({"data": images}, [name for name in blobs if name != "data"])
    for blob, value in expected.items():
        assert relative_error(blobs[blob].detach().numpy(), value) < 1e-5, blob


def test_layers_are_children_by_name_and_torch_s_own_modules(digits):
    module = digits.to_torch()
    assert isinstance(module.conv1, torch.nn.Conv2d)
    assert isinstance(module.relu1, torch.nn.ReLU)
    assert isinstance(module.pool1, torch.nn.MaxPool2d)
    assert not module.training
    assert type(module.get_submodule("branches/concat")).__name__ == "CaffeLayer"


def test_the_scores_come_out_or_any_blob(digits):
    image = torch.from_numpy(random_images((1, 1, 96, 96)))
    assert digits.to_torch()(image).reshape(1, -1).shape == (1, 10)
    assert digits.to_torch("conv1")(image).shape == digits.to_torch().blobs(image)["conv1"].shape
    with pytest.raises(QuestionError):
        digits.to_torch("nothing")


def test_captum_gives_the_map_of_this_project(digits, models):
    attr = pytest.importorskip("captum.attr")
    path = str(models / "digits" / "scenes" / "3-5.png")
    explanation = digits.explain(path, classes=3, engine="torch")[0]
    module = digits.to_torch()
    module = torch.nn.Sequential(module, torch.nn.Flatten())
    from caffe_gradcam.model import images
    from caffe_gradcam.model.preprocess import prepare

    blob = torch.from_numpy(prepare(images.read(path), digits.inputs).blobs["data"])
    layer = module[0].get_submodule("branches/concat")
    cam = attr.LayerGradCam(module, layer).attribute(blob, target=3)[0, 0].detach().numpy()
    assert relative_error(cam, explanation.cam) < 1e-4


def test_pytorch_grad_cam_runs_on_it(digits, models):
    package = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    module = torch.nn.Sequential(digits.to_torch(), torch.nn.Flatten())
    with package.GradCAM(model=module, target_layers=[
            module[0].get_submodule("branches/concat")]) as cam:
        maps = cam(torch.from_numpy(random_images((1, 1, 96, 96))),
                   targets=[targets.ClassifierOutputTarget(3)])
    assert maps.shape == (1, 96, 96)
    assert np.isfinite(maps).all()


def test_its_weights_can_be_trained(digits):
    module = digits.to_torch()
    module(torch.from_numpy(random_images((1, 1, 96, 96)))).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_it_can_be_traced(digits):
    images = torch.from_numpy(random_images((1, 1, 96, 96)))
    module = digits.to_torch()
    traced = torch.jit.trace(module, images)
    assert torch.allclose(traced(images), module(images))


def test_the_notebook_runs_from_top_to_bottom(models, monkeypatch):
    pytest.importorskip("captum", reason="captum is not installed here")
    monkeypatch.chdir(models.parent)
    with open("docs/to_torch.ipynb", encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert relative_error(names["theirs"], names["ours"]) < 1e-4
