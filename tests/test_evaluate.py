"""Measuring maps: numbers by hand on a small model, and what the scenes of two digits say."""

import digit_scenes
import numpy as np
import pytest
from cases import path_of
from fake_engine import FakeEngine, write_model

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring import bench as evaluate
from caffe_gradcam.measuring import comparison
from caffe_gradcam.measuring.bench import Bench
from caffe_gradcam.measuring.measurement import Settings
from caffe_gradcam.measuring.randomised import loaded_weights
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError, Outcome

FAMILY = ("grad-cam", "grad-cam++", "xgrad-cam", "hirescam", "layer-cam")
SCENES = 10


@pytest.fixture
def bench(tmp_path):
    """A function that makes a bench of the colour model, for some metrics."""
    model = LoadedModel.load(write_model(tmp_path / "model"))

    def make(*metrics, **settings):
        explainer = Explainer(model, FakeEngine(), Explaining(placement="stretch"))
        return Bench(explainer, Settings(metrics=metrics, **settings))
    return make


def blue_corner(level=200):
    """An 8 x 8 picture, blue in its upper left quarter, black elsewhere."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :4, 0] = level
    return picture


def softmax(*scores):
    powers = np.exp(scores)
    return powers / powers.sum()


def measure(bench, picture=None, boxes=None):
    picture = blue_corner() if picture is None else picture
    outcome, = bench.measure(["a.png"], [Outcome(picture)], [0], [boxes or {}])
    return {measurement.method: measurement for measurement in outcome.unwrap()}


def test_deletion_measures_the_probability_of_the_class(bench):
    # Scores are blue mean, green mean and minus their sum; blue is 2 in a quarter of the pixels.
    curve = measure(bench("deletion", steps=4))["grad-cam"].curves["deletion"]
    whole, rest = softmax(0.5, 0, -0.5)[0], 1 / 3.0
    assert curve == pytest.approx([whole, rest, rest, rest, rest], abs=1e-6)


def test_insertion_minus_deletion_is_the_gap(bench):
    one = measure(bench("deletion", "insertion", steps=8))["grad-cam"]
    assert one.values["gap"] == one.values["insertion"] - one.values["deletion"] > 0
    assert len(one.curves["insertion"]) == 9


def test_drop_measures_what_shows_through_the_map(bench):
    # The map of "small" cells is hot on just the blue quarter, so little is lost.
    one = measure(bench("drop"))["grad-cam"]
    assert 0 <= one.values["drop"] < 0.25
    assert one.values["increase"] == 0


def test_pointing_wants_boxes_of_the_class_in_question(bench):
    hit = measure(bench("pointing"), boxes={0: [(0, 0, 4, 4)], 1: [(4, 4, 4, 4)]})["grad-cam"]
    assert hit.values["pointing"] == 1 and hit.values["energy"] > 0.5
    miss = measure(bench("pointing"), boxes={0: [(4, 4, 4, 4)]})["grad-cam"]
    assert miss.values["pointing"] == 0
    assert measure(bench("pointing"), boxes={1: [(0, 0, 4, 4)]})["grad-cam"].values == {}


@pytest.mark.parametrize("box", [(8, 0, 4, 4), (0, 9, 1, 1), (-4, 0, 4, 8), (0, -3, 8, 2)])
def test_a_box_outside_the_image_is_an_error(bench, box):
    outcome, = bench("pointing").measure(["a.png"], [Outcome(blue_corner())], [0], [{0: [box]}])
    assert str(outcome.error) == (
        "a.png: the box at {:g}, {:g} of {:g} x {:g} pixels lies outside the image, which has "
        "8 x 8".format(*box))


def test_a_box_that_reaches_beyond_the_image_ends_with_it(bench):
    values = measure(bench("pointing"), boxes={0: [(-4, -1e300, 1e300, 1e301)]})["grad-cam"].values
    assert values == {"pointing": 1, "energy": pytest.approx(1)}


def test_baselines_are_measured_beside_the_methods(bench):
    found = measure(bench("deletion"))
    assert list(found) == ["grad-cam", "random", "centre"]
    assert found["random"].layer is found["centre"].layer is None
    assert found["grad-cam"].values["deletion"] < found["random"].values["deletion"]


def test_a_random_map_depends_on_seed_and_photograph_alone(bench):
    one, same = (measure(bench("road"))["random"].values for _ in range(2))
    other = measure(bench("road", seed=1))["random"].values
    assert one == same != other


def test_a_map_that_nothing_moves_has_no_sensitivity(bench):
    # A flat picture has no range for noise.
    found = measure(bench("stability"), np.full((8, 8, 3), 50, np.uint8))
    assert "moved" in found["grad-cam"].values and "moved" not in found["random"].values


def test_one_picture_that_fails_does_not_spoil_the_others(bench):
    outcomes = bench("deletion").measure(
        ["none.png", "a.png"],
        [Outcome(error=InputError("no such file")), Outcome(blue_corner())], [0])
    assert str(outcomes[0].error) == "no such file"
    assert outcomes[1].unwrap()[0].path == "a.png"


def test_an_engine_that_fails_fails_each_picture(bench):
    outcomes = bench("deletion").measure(["a.png"], [Outcome(blue_corner(255))], [0])
    assert str(outcomes[0].error) == "too bright for the engine"


def test_only_questions_about_a_class_are_measured():
    from caffe_gradcam.asking.questions import Class, Sum, Top

    evaluate.check_questions([Class(3), Top(2)])
    with pytest.raises(InputError, match="one class"):
        evaluate.check_questions([Sum(((1, 1.0), (2, -1.0)))])


def test_layers_to_compare_are_the_last_of_each_resolution(tmp_path):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    assert model.layers == ("smaller",)
    assert evaluate.spread_layers(model) == ["smaller", "small"]
    assert evaluate.spread_layers(model, 1) == ["smaller"]


@pytest.fixture(scope="module", params=["caffe", "torch"])
def digits(request, models):
    """What was measured of some scenes, and the bench, on each engine that is there."""
    request.getfixturevalue(request.param)
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    scenes = digit_scenes.evaluation_scenes(SCENES)
    with Explainer.open(LoadedModel.load(models / "digits"), Explaining(methods=FAMILY),
                        Running(engine=request.param)) as explainer:
        bench = Bench(explainer, Settings(
            ("deletion", "insertion", "pointing", "sanity"), steps=10))
        before = forward(explainer)
        outcomes = bench.measure(
            [f"{index}.png" for index in range(SCENES)],
            [Outcome(np.repeat(scene.image[:, :, np.newaxis], 3, axis=2)) for scene in scenes],
            [[label for label, _ in scene.digits] for scene in scenes],
            [{label: [box] for label, box in scene.digits} for scene in scenes])
        after = forward(explainer)
    measurements = [entry for outcome in outcomes for entry in outcome.unwrap()]
    return bench, comparison.rows(measurements), measurements, (before, after)


def forward(explainer):
    blob = np.random.RandomState(0).rand(1, 1, 96, 96).astype(np.float32)
    return explainer.engine.forward({"data": blob}, ["score"])["score"]


def of(digits, method):
    return next(row for row in digits[1] if row.method == method).cells


@pytest.mark.parametrize("method", FAMILY)
def test_the_peak_of_each_method_is_in_the_digit_that_was_asked_for(digits, method):
    assert of(digits, method)["pointing"].count == 2 * SCENES
    assert of(digits, method)["pointing"].mean >= 0.9


def test_random_maps_point_at_chance(digits):
    # Boxes fill a twentieth of a scene.
    assert of(digits, "random")["pointing"].mean <= 0.2
    assert 0.03 < of(digits, "random")["energy"].mean < 0.08


@pytest.mark.parametrize("method", FAMILY)
def test_each_method_knows_the_net_better_than_the_baselines(digits, method):
    for baseline in ("random", "centre"):
        assert of(digits, method)["gap"].low > of(digits, baseline)["gap"].high


@pytest.mark.parametrize("method", FAMILY)
def test_maps_lose_their_correlation_when_the_weights_are_random(digits, method):
    assert abs(of(digits, method)["sanity"].mean) < 0.25


def test_the_weights_of_the_net_are_back_after_the_check(digits):
    assert digits[0].stages == [
        ["score"], ["branches/3x3"], ["branches/1x1"], ["conv3"], ["conv2"], ["conv1"]]
    assert np.array_equal(*digits[3])


def test_the_verdict_names_one_of_the_methods(digits):
    verdict = comparison.verdict(digits[1], digits[2])
    assert verdict.method in FAMILY
    assert verdict.layer == "branches/concat" and verdict.column == "gap"


def test_regions_that_a_parameter_layer_holds_are_no_weights_to_randomise():
    assert list(loaded_weights(LoadedModel.load(path_of("rois")))) == ["conv1", "cls_score"]


def test_methods_that_read_weights_themselves_take_other_ones_too(torch, models, tmp_path):
    # CAM reads those of the last layer, FullGrad all biases.
    from caffe_gradcam.measuring.metrics.sanity import shuffled
    from prototxt_tools import weights

    model, rng = LoadedModel.load(models / "digits"), np.random.RandomState(0)
    other = {name: shuffled(arrays, rng)
             for name, arrays in loaded_weights(model).items()}
    weights.save(tmp_path / "other.caffemodel", other)
    picture = rng.randint(0, 256, (96, 96, 3)).astype(np.uint8)

    def cams(explainer):
        result, = explainer.explain([picture], [3])
        return [explanation.cam for explanation in result.unwrap().explanations]

    explaining, running = Explaining(methods=("cam", "fullgrad")), Running(engine="torch")
    with Explainer.open(model, explaining, running) as explainer:
        before = cams(explainer)
        explainer.replace_weights(other)
        replaced = cams(explainer)
        explainer.replace_weights(loaded_weights(model))
        back = cams(explainer)
    with Explainer.open(model, explaining, running) as explainer:
        explainer.replace_weights(other)  # Before FullGrad has opened a net of its own.
        at_once = cams(explainer)
    there = LoadedModel.load(models / "digits", tmp_path / "other.caffemodel")
    with Explainer.open(there, explaining, running) as explainer:
        expected = cams(explainer)
    for one, other, soon, wanted, again in zip(before, replaced, at_once, expected, back):
        assert np.abs(other - wanted).max() < 1e-5 * np.abs(wanted).max()
        assert np.abs(soon - wanted).max() < 1e-5 * np.abs(wanted).max()
        assert np.abs(again - one).max() < 1e-5 * np.abs(one).max()
        assert np.abs(other - one).max() > 0.1 * np.abs(one).max()


def test_each_stream_of_a_net_with_two_inputs_is_measured_on_its_own_picture(torch, tmp_path):
    from definitions import write_model as write

    write(tmp_path, STREAMS)
    model = LoadedModel.load(tmp_path)
    picture = np.random.RandomState(0).randint(0, 256, (20, 20, 3)).astype(np.uint8)
    with Explainer.open(model, running=Running(engine="torch")) as explainer:
        bench = Bench(explainer, Settings(("deletion", "stability", "sanity"), steps=4))
        outcome, = bench.measure(["a.png"], [Outcome(picture)], [1])
        found = {entry.layer: entry for entry in outcome.unwrap()}
    assert set(found) == {"conv_l", "conv_r", None}
    left, right = found["conv_l"].curves["deletion"], found["conv_r"].curves["deletion"]
    # Both begin with the whole picture; then each loses another half of what the net reads.
    assert left[0] == pytest.approx(right[0]) and left[-1] != pytest.approx(right[-1])
    assert all(set(found[name].values) == {"deletion", "moved", "sanity"}
               for name in ("conv_l", "conv_r"))


STREAMS = """
input: "left" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12
input: "right" input_dim: 1 input_dim: 1 input_dim: 14 input_dim: 14
layer { name: "conv_l" type: "Convolution" bottom: "left" top: "conv_l"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "conv_r" type: "Convolution" bottom: "right" top: "conv_r"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "fc_l" type: "InnerProduct" bottom: "conv_l" top: "fc_l"
        inner_product_param { num_output: 3 } }
layer { name: "fc_r" type: "InnerProduct" bottom: "conv_r" top: "fc_r"
        inner_product_param { num_output: 3 } }
layer { name: "sum" type: "Eltwise" bottom: "fc_l" bottom: "fc_r" top: "sum" }
"""
