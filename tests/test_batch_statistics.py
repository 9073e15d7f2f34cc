"""BatchNorm layers that use the statistics of each batch: images do not influence each other."""

import numpy as np
import pytest

pytest.importorskip("torch")

from caffe_gradcam import Model  # noqa: E402
from caffe_gradcam.batch import explain_batch  # noqa: E402
from prototxt_tools import weights as weight_files  # noqa: E402

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv"
        batch_norm_param { use_global_stats: %s } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
"""
METHODS = ["grad-cam", "layer-cam", "score-cam", "ablation-cam", "smoothgrad", "occlusion"]


@pytest.fixture
def folder(tmp_path):
    random = np.random.RandomState(5)
    arrays = {"conv": [(4, 3, 3, 3), (4,)], "fc": [(3, 400), (3,)]}
    stored = {name: [random.randn(*shape).astype(np.float32) for shape in shapes]
              for name, shapes in arrays.items()}
    stored["bn"] = [np.zeros(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32)]
    weight_files.save(str(tmp_path / "net.caffemodel"), stored)
    (tmp_path / "deploy.prototxt").write_text(NET % "false")
    return tmp_path


@pytest.fixture
def images():
    random = np.random.RandomState(6)
    return [random.randint(0, 256, (12, 12, 3)).astype(np.uint8) for _ in range(3)]


def explained(model, images, **keywords):
    return model.explain(images, 1, METHODS, engine="torch", samples=6, **keywords)


def test_an_image_is_explained_the_same_alone_and_beside_others(folder, images):
    with Model.load(folder) as model:
        together = explained(model, images)
        for index, image in enumerate(images):
            alone = explained(model, [image])
            for one, other in zip(alone, together[index * len(METHODS):]):
                assert one.score == other.score
                np.testing.assert_array_equal(one.cam, other.cam)


def test_it_is_told_when_the_model_is_loaded(folder):
    model = Model.load(folder)
    assert model.depends_on_batch
    assert "BatchNorm layer bn normalises by the statistics of each batch" in model.warnings[0]
    (folder / "deploy.prototxt").write_text(NET % "true")
    assert not Model.load(folder).depends_on_batch and Model.load(folder).warnings == ()


def test_images_share_statistics_where_that_is_asked_for(folder, images):
    with Model.load(folder) as model:
        alone = model.explain(images[:1], 1, engine="torch", batch_statistics=True)[0]
        beside = model.explain(images, 1, engine="torch", batch_statistics=True)[0]
    assert abs(alone.score - beside.score) > 1e-3


def test_rows_of_a_batch_are_those_of_the_images_alone(folder, images):
    rows = explain_batch(images, model=folder, classes=1, engine="torch", device="cpu")
    with Model.load(folder) as model:
        scores = [model.explain(image, 1, engine="torch")[0].score for image in images]
    assert [row["score"] for row in rows] == pytest.approx(scores, abs=1e-6)
