"""What evaluate measures with random weights, and whether maps sum to the score."""

import dataclasses

import numpy as np
import pytest
from fake_engine import WEIGHTS, FakeEngine, write_model

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.methods import METHODS, Method
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring import maps
from caffe_gradcam.measuring.bench import Bench
from caffe_gradcam.measuring.measurement import Settings
from caffe_gradcam.measuring.metrics import complexity, sanity, similarity
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import Outcome

RANDOMISED = ("sanity", "smooth-mprt", "efficient-mprt")
BLUE = 0


@pytest.fixture
def model(tmp_path):
    """The colour model, with its weights in a file."""
    folder = write_model(tmp_path / "model")
    weight_files.save(folder / "colours.caffemodel", {"score": [WEIGHTS]})
    return LoadedModel.load(folder)


def picture():
    """An 8 x 8 picture with as many shades as pixels."""
    return np.random.RandomState(1).randint(0, 200, (8, 8, 3)).astype(np.uint8)


def measured(model, metrics, methods=("grad-cam",), engine=None):
    """Method -> the values of its map of the blue class."""
    explainer = Explainer(model, engine or FakeEngine(),
                          Explaining(methods, placement="stretch"))
    outcome, = Bench(explainer, Settings(metrics=metrics)).measure(
        ["a.png"], [Outcome(picture())], [BLUE])
    return {measurement.method: measurement for measurement in outcome.unwrap()}


def shuffled_engine():
    """An engine with the weights that randomisation gives the colour model."""
    engine = FakeEngine()
    engine.replace_weights({"score": sanity.shuffled([WEIGHTS], np.random.RandomState(0))})
    return engine


def heat(model, engine, blobs):
    """The heat of the mean map of some inputs."""
    explainer = Explainer(model, engine, Explaining(placement="stretch"))
    prepared = prepared_picture(model)
    copies = [dataclasses.replace(prepared, blobs={model.input: blob[np.newaxis]})
              for blob in blobs]
    explanations = [outcome.unwrap().explanations[0] for outcome in explainer.explain_prepared(
        [Outcome(copy) for copy in copies], [BLUE])]
    mean = np.mean([explanation.cam for explanation in explanations], axis=0)
    return maps.heat_on_blob(dataclasses.replace(explanations[0], cam=mean), prepared)


def prepared_picture(model):
    from caffe_gradcam.model.preprocess import prepare

    return prepare(picture(), model.inputs, model.arrays)


def test_efficient_mprt_is_the_rise_of_the_entropy_of_the_heat(model):
    blobs = prepared_picture(model).blobs[model.input]
    before, after = (heat(model, engine, blobs) for engine in (FakeEngine(), shuffled_engine()))
    expected = sanity.relative_rise(complexity.discrete_entropy(before),
                                    complexity.discrete_entropy(after))
    values = measured(model, ("efficient-mprt",))["grad-cam"].values
    assert values == {"efficient-mprt": pytest.approx(expected, abs=1e-6)}
    assert expected != 0


def test_smooth_mprt_is_the_correlation_of_mean_maps_of_the_same_noisy_copies(model):
    copies = sanity.smoothing_copies(prepared_picture(model).blobs[model.input][0])
    expected = similarity.rank_correlation(heat(model, FakeEngine(), copies),
                                           heat(model, shuffled_engine(), copies))
    values = measured(model, ("smooth-mprt",))["grad-cam"].values
    assert values == {"smooth-mprt": pytest.approx(expected, abs=1e-6)}


def test_all_that_needs_random_weights_can_be_measured_together(model):
    together = measured(model, RANDOMISED)
    alone = {name: measured(model, (name,))["grad-cam"].values[name] for name in RANDOMISED}
    assert together["grad-cam"].values == alone
    assert len(together["grad-cam"].stages) == 1
    assert together["random"].values == together["centre"].values == {}


@pytest.mark.parametrize("metric", RANDOMISED)
def test_the_weights_are_put_back(model, metric):
    engine = FakeEngine()
    measured(model, (metric,), engine=engine)
    assert np.array_equal(engine.weights, WEIGHTS)


def test_a_map_that_sums_to_the_score_has_no_completeness_gap(model, monkeypatch):
    # The net of the colour model is linear, so activations times gradients sum to its score.
    whole = METHODS["hirescam"]
    monkeypatch.setitem(METHODS, "half", Method(
        lambda activations, gradients: whole.function(activations, gradients) / 2, whole.needs))
    monkeypatch.setitem(METHODS, "nothing", Method(
        lambda activations: np.zeros_like(activations[:, 0]), ("activations",)))
    gaps = measured(model, ("completeness",), ("hirescam", "half", "nothing"))
    assert {name: measurement.values.get("completeness") for name, measurement in gaps.items()
            } == {"hirescam": pytest.approx(0, abs=1e-6), "half": pytest.approx(0.5, abs=1e-6),
                  "nothing": 1, "random": None, "centre": None}


def test_integrated_gradients_are_complete_on_a_net_that_is_not_linear(torch, models):
    model = LoadedModel.load(models / "digits")
    photograph = np.random.RandomState(0).randint(0, 256, (96, 96, 3)).astype(np.uint8)
    methods = ("integrated-gradients", "saliency")
    with Explainer.open(model, Explaining(methods, samples=32), Running("torch")) as explainer:
        outcome, = Bench(explainer, Settings(("completeness",))).measure(
            ["a.png"], [Outcome(photograph)], [3])
    gaps = {measurement.method: measurement.values.get("completeness")
            for measurement in outcome.unwrap()}
    assert gaps["integrated-gradients"] < 0.05 < gaps["saliency"]
