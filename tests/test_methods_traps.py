"""What goes wrong in other implementations, and not here: pure functions.

The numbers are those of the list of differences in the project's notes on other implementations;
tests of the same list that need a net are in tests/engines.
"""

import inspect

import numpy as np
import pytest
from explaining import results
from fake_engine import FakeEngine, write_model

from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.methods import METHODS, gradients, heatmap
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing, to_blobs

OF_TWO = [name for name, method in METHODS.items() if method.needs == ("activations", "gradients")]
RANDOM = np.random.RandomState(0)
ACTIVATIONS = np.maximum(RANDOM.randn(2, 5, 4, 6), 0).astype(np.float32)
GRADIENTS = RANDOM.randn(2, 5, 4, 6).astype(np.float32)


def call(name, *arguments, **options):
    return METHODS[name].function(*arguments, **options)


def normalised(cams):
    return cams / np.abs(cams).max(axis=(1, 2), keepdims=True)


# Rows of the table of methods.


def test_grad_cam_plus_plus_has_no_epsilon_that_swamps_small_gradients():
    """With 1e-6 beside g^2 a gradient of 1e-6 has a weight of 1e-12 of what it should."""
    small, smaller = [normalised(call("grad-cam++", ACTIVATIONS, GRADIENTS * np.float32(factor)))
                      for factor in (1e-6, 1e-12)]
    np.testing.assert_allclose(smaller, small, rtol=1e-4, atol=1e-5)
    # The limit: half of the positive gradients' sum.
    weights = np.maximum(GRADIENTS, 0).sum(axis=(2, 3)) / 2
    limit = np.einsum("nk,nkij->nij", weights, ACTIVATIONS)
    np.testing.assert_allclose(small, normalised(limit), rtol=1e-4, atol=1e-5)


def test_grad_cam_plus_plus_does_divide():
    """A division that is lost leaves the weights at sum relu(g) g^2."""
    cubes = (np.maximum(GRADIENTS, 0) * GRADIENTS ** 2).sum(axis=(2, 3))
    undivided = normalised(np.einsum("nk,nkij->nij", cubes, ACTIVATIONS))
    assert np.abs(normalised(call("grad-cam++", ACTIVATIONS, GRADIENTS)) - undivided).max() > 0.05


def test_grad_cam_plus_plus_sums_the_activations_of_its_own_channel_alone():
    """Some sum A g^3 with one g for all cells, or with the sums' indices mixed."""
    # Only the first channel has a gradient; what the second holds makes no difference.
    only = GRADIENTS * np.float32([1, 0, 0, 0, 0])[:, None, None]
    others = ACTIVATIONS.copy()
    others[:, 1:] *= 100
    assert np.array_equal(call("grad-cam++", ACTIVATIONS, only), call("grad-cam++", others, only))


def test_grad_cam_plus_plus_stays_finite_before_a_relu():
    """With negative sums 2 + S g may be 0."""
    activations = np.full((1, 1, 1, 2), -1, np.float32)
    assert call("grad-cam++", activations, np.ones_like(activations)).tolist() == [[[-1, -1]]]


@pytest.mark.parametrize("order", [[1.0, 3.0], [3.0, 1.0]])
def test_smooth_grad_cam_plus_plus_averages_all_samples_not_the_last(order):
    derivatives = iter(order)
    found = call("smooth-grad-cam++", ACTIVATIONS[:1], ACTIVATIONS[:1], lambda inputs: np.full(
        (1, 5, 4, 6), next(derivatives), np.float32), samples=2)
    derivatives = iter([2.0, 2.0])
    other = call("smooth-grad-cam++", ACTIVATIONS[:1], ACTIVATIONS[:1], lambda inputs: np.full(
        (1, 5, 4, 6), next(derivatives), np.float32), samples=2)
    sums = ACTIVATIONS[0].sum(axis=(1, 2), dtype=np.float64)
    weights = 24 * 2 * 5 / (2 * 5 + 14 * sums)
    np.testing.assert_allclose(found[0], np.tensordot(weights, ACTIVATIONS[0], 1), rtol=1e-5)
    assert np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize("scale, shift", [(1.0, 0.0), (255.0, -127.0), (1 / 255.0, 3.0)])
def test_noise_is_a_part_of_the_inputs_range_whatever_its_unit(scale, shift):
    """An absolute deviation of 0.3 is nothing to pixels up to 255."""
    inputs = np.float32(np.linspace(0, 1, 3000).reshape(1, 3, 20, 50) * scale + shift)
    spread = np.mean([(copy - inputs).std() for copy in gradients.noisy(inputs, 5)])
    assert spread == pytest.approx(0.15 * scale, rel=0.03)


def test_xgrad_cam_does_not_explode_where_a_channel_cancels():
    """Before a ReLU a sum may be nothing but rounding, and dividing by it gives a map of noise."""
    activations = np.float32([[[[1e3, -1e3], [1e-4, 0]], [[1, 2], [3, 4]]]])
    derivatives = np.float32([[[[1, -1], [1, 0]], [[1, 1], [1, 1]]]])
    np.testing.assert_allclose(call("xgrad-cam", activations, derivatives), [[[1, 2], [3, 4]]])
    assert np.array_equal(call("xgrad-cam", 0 * activations, derivatives), np.zeros((1, 2, 2)))


def test_xgrad_cam_does_divide_by_small_sums_that_did_not_cancel():
    tiny = np.float32(1e-9)
    np.testing.assert_allclose(call("xgrad-cam", ACTIVATIONS * tiny, GRADIENTS) / tiny,
                               call("xgrad-cam", ACTIVATIONS, GRADIENTS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["eigen-cam", "eigen-grad-cam"])
@pytest.mark.parametrize("shape", [(2, 40, 4, 6), (2, 5, 4, 6)], ids=["wide", "narrow"])
def test_the_sign_of_components_does_not_depend_on_the_decomposition(name, shape, monkeypatch):
    activations = np.maximum(RANDOM.randn(*shape), 0).astype(np.float32)
    arguments = [activations] + [activations + 1] * (name == "eigen-grad-cam")
    found = call(name, *arguments)
    order = RANDOM.permutation(shape[1])
    np.testing.assert_allclose(call(name, *(one[:, order] for one in arguments)), found, atol=1e-4)
    whole = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (whole(matrix)[0], -whole(matrix)[1]))
    np.testing.assert_allclose(call(name, *arguments), found, atol=1e-5)
    sums = (arguments[0] * arguments[-1] if len(arguments) > 1 else activations).sum(axis=1)
    for one, total in zip(found, sums):
        assert np.corrcoef(one.ravel(), total.ravel())[0, 1] > 0


def test_a_component_of_many_cells_or_many_channels_costs_the_smaller_of_the_two(monkeypatch):
    """A full decomposition of 512 channels at 100 x 100 places has a hundred million numbers."""
    sizes, whole = [], np.linalg.eigh
    monkeypatch.setattr(
        np.linalg, "eigh", lambda matrix: sizes.append(len(matrix)) or whole(matrix))
    call("eigen-cam", np.ones((1, 4, 30, 30), np.float32))
    call("eigen-cam", np.ones((1, 900, 2, 2), np.float32))
    assert sizes == [4, 4]


def test_score_cam_leaves_out_flat_channels_and_a_blob_of_them_is_empty():
    """(A - min) / (max - min) of a flat channel is NaN, or all 0 with an epsilon."""
    activations, shown = np.zeros((1, 3, 2, 2), np.float32), []
    activations[0, 1] = 7
    activations[0, 2, 0, 0] = 1

    def net(pairs):
        return np.array([shown.append(value) or 1e3 for _, value in pairs])

    found = call("score-cam", activations, np.ones((1, 1, 2, 2), np.float32), net)
    assert len(shown) == 1
    assert found.tolist() == [[[1, 0], [0, 0]]]  # All of the softmax; scores of 1000 do no harm.
    flat = call("score-cam", activations[:, :2], np.ones((1, 1, 2, 2), np.float32), net)
    assert not flat.any() and len(shown) == 1


def test_score_cam_masks_reach_0_and_1_after_enlarging():
    """Brought to [0, 1] first, a narrow peak between pixels does not reach 1."""
    activations, shown = np.zeros((1, 1, 5, 5), np.float32), []
    activations[0, 0, 2, 2] = 3

    def net(pairs):
        return np.array([shown.append(value) or 0.0 for _, value in pairs])

    call("score-cam", activations, np.ones((1, 1, 8, 8), np.float32), net)
    assert (shown[0].min(), shown[0].max()) == (0, 1)


def test_ablation_cam_does_not_divide_by_the_score():
    """Divided by y the map turns round where y is negative, and explodes where it is 0."""
    def head(offset):
        return lambda pairs: np.array([value[0].sum() + offset for _, value in pairs])

    first = ACTIVATIONS[:1, :1]
    sums = float(first.sum())
    maps = [call("ablation-cam", first, head(offset)([(0, first[0])]), head(offset))
            for offset in (10.0, -sums, -sums - 10)]
    for found in maps:
        np.testing.assert_allclose(found, first[:, 0] * sums, rtol=1e-3)


def test_rise_says_nothing_where_the_score_does_not_change():
    """Without the mean subtracted a net that ignores the picture has a map of its bias."""
    found = call("rise", np.ones((1, 1, 14, 14), np.float32),
                 lambda pairs: np.array([5.0 for _ in pairs]), samples=10)
    assert not found.any()


# The list of subtle differences.


@pytest.mark.parametrize("name", OF_TWO)
def test_4_images_of_a_batch_share_no_norm_and_maps_start_at_0(name):
    """An RMS over the whole batch lets one image dim the others; np.ones lights every pixel."""
    louder = GRADIENTS.copy()
    louder[1] *= 1e4
    assert np.array_equal(call(name, ACTIVATIONS, louder)[0], call(name, ACTIVATIONS, GRADIENTS)[0])
    assert not call(name, ACTIVATIONS, np.zeros_like(GRADIENTS)).any()
    assert not call(name, np.zeros_like(ACTIVATIONS), GRADIENTS).any()


def test_6_a_score_that_a_softmax_would_saturate_is_explained_as_any_other(tmp_path):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    engine = FakeEngine()
    engine.weights = engine.weights * 1000
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4, :4, 0] = 200
    result, = results(Explainer(model, engine).explain([image]))
    one, = result.explanations
    assert one.probability == 1 and one.status == "ok"
    assert one.cam.tolist() == [[500, 0], [0, 0]]


def test_9_arrays_of_an_explanation_are_not_views_of_an_engines(tmp_path):
    class Reusing(FakeEngine):
        def backward(self, *arguments, **options):
            found = super().backward(*arguments, **options)
            self.given = getattr(self, "given", []) + list(found.values())
            return found

    model = LoadedModel.load(write_model(tmp_path / "model"))
    engine = Reusing()
    image = np.full((8, 8, 3), 200, np.uint8)
    explainer = Explainer(model, engine, Explaining(("grad-cam", "hirescam")))
    result, = results(explainer.explain([image], [0]))
    before = [one.cam.copy() for one in result.explanations]
    for array in engine.given:
        array[...] = 77
    explainer.explain([image // 2], [1])
    for one, cam in zip(result.explanations, before):
        assert np.array_equal(one.cam, cam)


def test_10_zero_stays_zero_and_negative_values_do_not_come_back():
    """Subtracting the minimum moves the zero level; enlarging before the ReLU moves its edges."""
    cam = np.float32([[1, 2], [3, 4]])
    assert heatmap(cam).min() == 0.25
    laid = Geometry((1, 4), (0, 0, 4, 1)).to_image(heatmap(np.float32([[-4, 4]])))
    assert laid.tolist() == [[0, 0.25, 0.75, 1]]


def test_13_the_seed_of_a_regression_is_not_its_prediction(tmp_path):
    """Seeded by the predicted value, the map of a negative prediction is upside down."""
    model = LoadedModel.load(write_model(tmp_path / "model"))
    maps = []
    for bright in (0, 200):
        image = np.full((8, 8, 3), 100, np.uint8)
        image[:, :, 0] = bright
        engine = FakeEngine()
        engine.weights = np.float32([[1, -1], [0, 0], [0, 0]])
        result, = results(Explainer(model, engine).explain([image], [0]))
        assert np.sign(result.scores[0]) == (1 if bright else -1)
        maps.append(engine.seeds[0].tolist())
    assert maps[0] == maps[1] == [[1, 0, 0]]


# What users of others ask for.


@pytest.mark.parametrize("values", [0, 3, -2])
def test_row_10_a_flat_map_is_empty_and_not_all_red(tmp_path, values):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    engine = FakeEngine()
    engine.weights = np.float32([[values, 0], [0, 0], [0, 0]])
    result, = results(Explainer(model, engine).explain([np.full((8, 8, 3), 100, np.uint8)], [0]))
    one, = result.explanations
    assert one.status == "empty" and not one.heatmap.any()
    assert one.cam.tolist() == [[values / 4.0] * 2] * 2


def test_row_10_nan_is_an_error_and_no_picture(tmp_path):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    engine = FakeEngine()
    engine.backward = lambda score, seed, targets: {
        name: np.full((1, 2, 2, 2), np.inf, np.float32) for name in targets}
    outcome, = Explainer(model, engine, Explaining(("hirescam",))).explain(
        [np.full((8, 8, 3), 100, np.uint8)], [0])
    assert "NaN or infinity" in str(outcome.error)


def test_row_11_the_sign_is_kept_and_both_masses_are_reported(tmp_path):
    model = LoadedModel.load(write_model(tmp_path / "model"))
    engine = FakeEngine()
    engine.weights = np.float32([[1, -1], [0, 0], [0, 0]])
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4, :4, 0], image[4:, 4:, 1] = 200, 100
    result, = results(Explainer(model, engine).explain([image], [0]))
    one, = result.explanations
    assert one.cam.tolist() == [[0.5, 0], [0, -0.25]]
    assert (one.positive_mass, one.negative_mass) == (0.5, 0.25)
    assert one.signed_heatmap[0, 0] == 1 and one.signed_heatmap[-1, -1] == -0.5
    assert one.heatmap[-1, -1] == 0


def test_row_21_a_net_of_each_channel_order_sees_red_where_red_is():
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 2] = 255
    for order, channel in (("BGR", 2), ("RGB", 0)):
        blobs, _ = to_blobs(red, Preprocessing((4, 4), order, np.float32([1, 2, 3])))
        assert blobs[0, channel].max() == 255 - (1, 2, 3)[channel]
        assert blobs[0, 2 - channel].max() < 0


@pytest.mark.parametrize("name", sorted(METHODS))
def test_maps_are_functions_of_what_they_need_and_change_none_of_it(name):
    wanted = set(METHODS[name].needs) | ({"samples"} if METHODS[name].samples else set())
    signature = inspect.signature(METHODS[name].function).parameters
    assert wanted == {one.name for one in signature.values()
                      if one.name in wanted or one.default is one.empty}
    if name in OF_TWO:
        arrays = [ACTIVATIONS.copy(), GRADIENTS.copy()]
        for array in arrays:
            array.flags.writeable = False
        call(name, *arrays)
