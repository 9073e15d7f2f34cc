"""Each metric that Quantus has too gives the same number, for the same maps and the same net."""

import warnings

import numpy as np
import pytest

from caffe_gradcam.measuring.metrics import (
    complexity,
    curves,
    faithfulness,
    objects,
    road,
    sanity,
    similarity,
    stability,
)

pytest.importorskip("torch", reason="torch is not installed here")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed here")

SIDE, CLASSES, IMAGES = 10, 4, 3
QUIET = {"disable_warnings": True, "display_progressbar": False}
CLOSE = {"abs": 1e-6}


def layer_that_shuffles(kind, rng, *sizes, **options):
    """A layer of torch whose parameters are shuffled as ours are, where Quantus resets them."""
    class Layer(kind):
        ready = False

        def reset_parameters(self):
            import torch

            if not self.ready:
                return super().reset_parameters()
            parameters = [self.weight, self.bias]
            arrays = [parameter.detach().numpy() for parameter in parameters]
            with torch.no_grad():
                for parameter, array in zip(parameters, sanity.shuffled(arrays, rng)):
                    parameter.copy_(torch.from_numpy(array))

    layer = Layer(*sizes, **options)
    layer.ready = True
    return layer


@pytest.fixture
def net(torch):
    """A convolution and two linear layers."""
    torch.manual_seed(0)
    rng = np.random.RandomState(1)
    return torch.nn.Sequential(
        layer_that_shuffles(torch.nn.Conv2d, rng, 1, 3, 3, padding=1), torch.nn.Tanh(),
        torch.nn.Flatten(), layer_that_shuffles(torch.nn.Linear, rng, 3 * SIDE * SIDE, 8),
        torch.nn.Tanh(),
        layer_that_shuffles(torch.nn.Linear, rng, 8, CLASSES)).eval()


@pytest.fixture
def images():
    return np.random.RandomState(2).randn(IMAGES, 1, SIDE, SIDE).astype(np.float32)


@pytest.fixture
def heats():
    """Maps in which no two pixels are equally hot."""
    order = np.random.RandomState(3)
    heats = [order.permutation(np.linspace(0.01, 1, SIDE * SIDE)) for _ in range(IMAGES)]
    return np.reshape(heats, (IMAGES, SIDE, SIDE))


@pytest.fixture
def masks():
    return np.random.RandomState(4).random_sample((IMAGES, SIDE, SIDE)) < 0.3


CLASS_OF = np.array([0, 2, 3])


def values(net, blobs, class_index):
    """What the net gives to blobs: its score of a class."""
    import torch

    with torch.no_grad():
        return net(torch.from_numpy(np.stack(blobs))).numpy()[:, class_index]


def gradients(model, inputs, targets, **_):
    """The map of these tests: the input times its gradient, N x 1 x h x w."""
    import torch

    blobs = torch.as_tensor(np.asarray(inputs, np.float32)).requires_grad_()
    scores = model(blobs)
    scores[torch.arange(len(blobs)), torch.as_tensor(np.asarray(targets))].sum().backward()
    return (blobs * blobs.grad).detach().numpy()


def of_quantus(metric, net, images, heats=None, softmax=False, **more):
    """What a metric of Quantus returns, by default for raw scores."""
    maps = None if heats is None else heats[:, np.newaxis].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric(model=net, x_batch=images.copy(), y_batch=CLASS_OF, a_batch=maps,
                      channel_first=True, softmax=softmax, device="cpu", **more)


@pytest.mark.parametrize("steps", [10, 50])
def test_deletion_is_pixel_flipping(net, images, heats, steps):
    metric = quantus.PixelFlipping(features_in_step=SIDE * SIDE // steps, perturb_baseline=0.0,
                                   **QUIET)
    expected = of_quantus(metric, net, images, heats)
    for image, heat, class_index, curve in zip(images, heats, CLASS_OF, expected):
        found = values(net, list(curves.deletion(image, heat, steps=steps)), class_index)
        assert found[1:] == pytest.approx(np.array(curve), **CLOSE)
        assert found[0] == pytest.approx(values(net, [image], class_index)[0], **CLOSE)


def test_insertion_is_pixel_flipping_from_the_blurred_image_to_the_image(net, images, heats):
    for image, heat, class_index in zip(images, heats, CLASS_OF):
        def insert(arr, indices, image=image, **_):
            arr = arr.copy()
            arr[0, indices[0]] = image.reshape(-1)[indices[0]]
            return arr

        metric = quantus.PixelFlipping(features_in_step=10, perturb_func=insert, **QUIET)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected, = metric(
                model=net, x_batch=curves.blurred(image)[np.newaxis], a_batch=heat[None, None],
                y_batch=np.array([class_index]), channel_first=True, softmax=False, device="cpu")
        found = values(net, list(curves.insertion(image, heat, steps=10)), class_index)
        assert found[1:] == pytest.approx(np.array(expected), **CLOSE)


def test_road_fills_holes_as_quantus_does(images, heats):
    from quantus.functions.perturb_func import noisy_linear_imputation

    for image, heat in zip(images, heats):
        for fraction in road.FRACTIONS:
            removed = curves.first(curves.hottest_first(heat), fraction, heat.shape)
            expected = noisy_linear_imputation(image, np.flatnonzero(removed), noise=0)
            exact = road.imputed(image, removed, noise=0, tolerance=1e-9)
            assert np.abs(exact - expected).max() < 1e-6
            assert np.abs(road.imputed(image, removed, noise=0) - expected).max() < 0.01


def test_the_accuracy_of_road_is_that_of_the_same_images(net, images, heats):
    percentages = [10, 30, 50, 70, 90]
    metric = quantus.ROAD(percentages=percentages, noise=0.0, **QUIET)
    expected = of_quantus(metric, net, images, heats)
    kept = []
    for image, heat, class_index in zip(images, heats, CLASS_OF):
        without_hottest = list(road.road(image, heat, noise=0))[:len(percentages)]
        scores = values(net, without_hottest, slice(None))
        kept.append(scores.argmax(axis=1) == class_index)
    assert np.mean(kept, axis=0).tolist() == [expected[percent] for percent in percentages]


def test_the_pointing_game_hits_the_same_masks(net, images, heats, masks):
    expected = of_quantus(quantus.PointingGame(**QUIET), net, images, heats,
                          s_batch=masks[:, np.newaxis])
    assert [objects.hits(*pair) for pair in zip(heats, masks)] == list(expected)


def test_relevance_mass_accuracy_is_the_same(net, images, heats, masks):
    expected = of_quantus(quantus.RelevanceMassAccuracy(**QUIET), net, images, heats,
                          s_batch=masks[:, np.newaxis])
    assert [objects.mass_accuracy(*pair) for pair in zip(heats, masks)] == pytest.approx(
        list(expected), **CLOSE)


def test_relevance_rank_accuracy_is_the_same(net, images, heats, masks):
    expected = of_quantus(quantus.RelevanceRankAccuracy(**QUIET), net, images, heats,
                          s_batch=masks[:, np.newaxis])
    assert [objects.rank_accuracy(*pair) for pair in zip(heats, masks)] == pytest.approx(
        list(expected), **CLOSE)


def test_sparseness_is_the_same(net, images, heats):
    expected = of_quantus(quantus.Sparseness(**QUIET), net, images, heats)
    assert [complexity.sparseness(heat) for heat in heats] == pytest.approx(
        list(expected), **CLOSE)


def test_complexity_is_the_same(net, images, heats):
    expected = of_quantus(quantus.Complexity(**QUIET), net, images, heats)
    assert [complexity.complexity(heat) for heat in heats] == pytest.approx(
        list(expected), **CLOSE)


def test_sensitivity_is_the_same_for_the_same_noise(net, images):
    copies = [stability.noisy(image, radius=0.1, samples=5, seed=6) for image in images]
    rounds = iter(np.stack(copies, axis=1))
    metric = quantus.MaxSensitivity(
        nr_samples=5, perturb_func=lambda arr, **_: next(rounds).reshape(IMAGES, -1), **QUIET)
    expected = of_quantus(metric, net, images, explain_func=gradients)
    maps = gradients(net, images, CLASS_OF)[:, 0]
    found = [stability.sensitivity(
        heat, gradients(net, noisy, [class_index] * len(noisy))[:, 0]).largest
        for heat, noisy, class_index in zip(maps, copies, CLASS_OF)]
    assert found == pytest.approx(list(expected), **CLOSE)


def test_random_logit_compares_with_the_map_of_the_same_other_class(net, images):
    metric = quantus.RandomLogit(num_classes=CLASSES, seed=7, normalise=False,
                                 similarity_func=quantus.functions.similarity_func
                                 .correlation_spearman, **QUIET)
    for image, class_index in zip(images, CLASS_OF):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected, = metric(model=net, x_batch=image[np.newaxis], device="cpu",
                               y_batch=np.array([class_index]), explain_func=gradients,
                               channel_first=True, softmax=False)
        other = sanity.other_class(class_index, CLASSES, np.random.RandomState(7))
        first, second = (gradients(net, image[np.newaxis], [index])[0, 0]
                         for index in (class_index, other))
        assert similarity.rank_correlation(first, second) == pytest.approx(expected, **CLOSE)


class Engine:
    """What ``sanity.cascade`` needs of an engine, for the net of these tests."""

    def __init__(self, net):
        self.layers = {name: layer for name, layer in net.named_children()
                       if hasattr(layer, "weight")}

    @property
    def weights(self):
        return {name: [layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()]
                for name, layer in self.layers.items()}

    def replace_weights(self, weights):
        import torch

        with torch.no_grad():
            for name, (weight, bias) in weights.items():
                self.layers[name].weight.copy_(torch.from_numpy(weight))
                self.layers[name].bias.copy_(torch.from_numpy(bias))


def cascaded(net, look):
    """What is seen at each stage of random weights, layer by layer from the top."""
    engine = Engine(net)
    return sanity.cascade(engine, engine.weights, [[name] for name in list(engine.layers)[::-1]],
                          look, seed=1)


def rank_correlations(maps, others):
    return [similarity.rank_correlation(*pair) for pair in zip(np.abs(maps), np.abs(others))]


def test_parameter_randomisation_gives_the_same_correlations(net, images):
    maps = gradients(net, images, CLASS_OF)
    stages = cascaded(net, lambda: gradients(net, images, CLASS_OF))
    expected = of_quantus(quantus.MPRT(**QUIET), net, images, explain_func=gradients)
    assert list(expected) == ["original", "5", "3", "0"]
    for stage, layer in zip(stages, ["5", "3", "0"]):
        assert rank_correlations(maps, stage) == pytest.approx(expected[layer], **CLOSE)


def test_smooth_parameter_randomisation_gives_the_same_correlations(net, images, monkeypatch):
    samples = 4
    copies = [sanity.smoothing_copies(image, 0.1, samples, seed=8) for image in images]

    def smooth():
        return np.stack([gradients(net, noisy, [class_index] * samples).mean(axis=0)
                         for noisy, class_index in zip(copies, CLASS_OF)])

    maps, stages = smooth(), cascaded(net, smooth)
    # Quantus draws new noise at each stage; it gets the same one here.
    noise = np.stack([(noisy[:-1] - image) / (0.1 * np.ptp(image))
                      for noisy, image in zip(copies, images)], axis=1)
    draws = iter(np.concatenate([noise] * 5))
    monkeypatch.setattr(np.random, "randn", lambda *shape: next(draws))
    monkeypatch.setattr(quantus, "explain", gradients)
    metric = quantus.SmoothMPRT(nr_samples=samples, noise_magnitude=0.1, layer_order="top_down",
                                **QUIET)
    expected = of_quantus(metric, net, images, explain_func=gradients)
    for stage, layer in zip(stages, ["5", "3", "0"]):
        assert rank_correlations(maps, stage) == pytest.approx(expected[layer], **CLOSE)


def test_efficient_parameter_randomisation_gives_the_same_rise(net, images):
    maps = gradients(net, images, CLASS_OF)
    last = cascaded(net, lambda: gradients(net, images, CLASS_OF))[-1]
    metric = quantus.EfficientMPRT(
        layer_order="top_down", abs=True, normalise=False, complexity_func_kwargs={"n_bins": 100},
        complexity_func=quantus.functions.complexity_func.discrete_entropy, **QUIET)
    expected = of_quantus(metric, net, images, softmax=True, explain_func=gradients)
    found = [sanity.relative_rise(*(complexity.discrete_entropy(np.abs(heat)) for heat in pair))
             for pair in zip(maps, last)]
    assert found == pytest.approx(expected, **CLOSE)


def test_a_complete_map_leaves_no_gap_where_quantus_says_true(torch, images):
    linear = torch.nn.Sequential(torch.nn.Flatten(),
                                 torch.nn.Linear(SIDE * SIDE, CLASSES)).eval()
    whole = np.round(images)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.round(parameter * 50))
    maps = gradients(linear, whole, CLASS_OF)[:, 0]
    maps[2, 0, 0] += 0.5
    metric = quantus.Completeness(normalise=False, perturb_baseline=0.0, **QUIET)
    expected = of_quantus(metric, linear, whole, maps)
    gaps = [faithfulness.completeness_gap(
        contributions, values(linear, [image], class_index)[0],
        values(linear, [0 * image], class_index)[0])
        for contributions, image, class_index in zip(maps, whole, CLASS_OF)]
    assert gaps == [0, 0, 0.5]
    assert list(expected) == [True, True, False]


def test_the_faithfulness_estimate_is_the_same(net, images, heats):
    metric = quantus.FaithfulnessEstimate(features_in_step=5, perturb_baseline=0.0, **QUIET)
    expected = of_quantus(metric, net, images, heats)
    found = [agreement(net, image, heat, faithfulness.steps_of(heat, SIDE * SIDE // 5), index)
             for image, heat, index in zip(images, heats, CLASS_OF)]
    assert found == pytest.approx(expected, **CLOSE)


def test_the_faithfulness_correlation_is_the_same_for_the_same_pixels(net, images, heats):
    image, heat, index = images[0], heats[0], CLASS_OF[0]
    np.random.seed(9)
    metric = quantus.FaithfulnessCorrelation(nr_runs=30, subset_size=12, perturb_baseline=0.0,
                                             return_aggregate=False, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, = metric(model=net, x_batch=image[None], y_batch=np.array([index]),
                           a_batch=heat[None, None], channel_first=True, softmax=False,
                           device="cpu")
    groups = faithfulness.subsets_of(heat, 12, 30, seed=9)
    assert agreement(net, image, heat, groups, index) == pytest.approx(expected, **CLOSE)


def agreement(net, image, heat, groups, class_index):
    found = values(net, list(faithfulness.without(image, groups)), class_index)
    return faithfulness.agreement(heat, groups, found)
