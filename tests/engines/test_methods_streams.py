"""Nets with several inputs, and nets whose scores are a map."""

import dataclasses

import numpy as np
import pytest
from definitions import Builder
from explaining import difference, explain, load, named, open_explainer, photographs, results

from caffe_gradcam.asking.questions import Against, At, Class, Like, Probability, Top
from caffe_gradcam.explaining.methods import METHODS

INPUT = """layer { name: "in%d" type: "Input" top: "in%d"
        input_param { shape { dim: 1 dim: 3 dim: 12 dim: 10 } } }
"""
STREAM = """layer { name: "conv%d" type: "Convolution" bottom: "in%d" top: "conv%d"
        param { name: "kernels" } param { name: "bias" }
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu%d" type: "ReLU" bottom: "conv%d" top: "conv%d" }
layer { name: "pool%d" type: "Pooling" bottom: "conv%d" top: "pool%d"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
"""
JOINED = """layer { name: "join" type: "Concat" %s top: "join" }
layer { name: "hidden" type: "InnerProduct" bottom: "join" top: "hidden"
        inner_product_param { num_output: 6 } }
layer { name: "relu" type: "ReLU" bottom: "hidden" top: "hidden" }
layer { name: "score" type: "InnerProduct" bottom: "hidden" top: "score"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""


def streams(count):
    """As many inputs, one pair of learned blobs for all."""
    each = range(count)
    return ("".join(INPUT % (n, n) for n in each)
            + "".join(STREAM % ((n,) * 9) for n in each)
            + JOINED % " ".join(f'bottom: "pool{n}"' for n in each))


def pictures(count, seed=0):
    """A photograph for each stream, of different sizes."""
    return {f"in{n}": one[n % 3:, n % 2:] for n, one in enumerate(photographs(count, (30, 26)))}


class Counted:
    """An engine that counts what is asked of it."""

    def __init__(self, engine):
        self._engine, self.forwards, self.backwards = engine, 0, 0

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def forward(self, *arguments, **options):
        self.forwards += 1
        return self._engine.forward(*arguments, **options)

    def backward(self, *arguments, **options):
        self.backwards += 1
        return self._engine.backward(*arguments, **options)

    def mean_gradients(self, *arguments):
        self.backwards += 1
        return self._engine.mean_gradients(*arguments)


@pytest.fixture
def ten(tmp_path):
    return load(tmp_path / "ten", streams(10))


def test_ten_streams_are_explained_by_one_forward_and_one_backward(ten, kind):
    with open_explainer(ten, kind) as explainer:
        explainer.engine = Counted(explainer.engine)
        result, = results(explainer.explain([pictures(10)], [1]))
        assert (explainer.engine.forwards, explainer.engine.backwards) == (1, 1)
    found = result.explanations
    assert [explanation.layer for explanation in found] == [f"conv{n}" for n in range(10)]
    assert [one.input for one in found] == [f"in{n}" for n in range(10)]
    shapes = [one.heatmap.shape for one in found]
    assert shapes == [one.shape[:2] for one in pictures(10).values()]
    assert len({one.cam.tobytes() for one in found}) == 10


def test_the_streams_maps_are_those_of_each_target_alone(ten, kind):
    together, = explain(ten, kind, [pictures(10)], questions=[1])
    for target in ("conv0", "conv7"):
        alone, = explain(dataclasses.replace(ten, layers=(target,)), kind, [pictures(10)],
                         questions=[1])
        one, = alone.values()
        assert difference(together["grad-cam", "1", target].cam, one.cam) < 1e-5


def test_every_method_looks_at_the_picture_of_its_stream(tmp_path, kind):
    """Where the other stream's weights are 0 its picture makes no difference, and has no map."""
    from prototxt_tools import weights

    model = load(tmp_path / "two", streams(2))
    learned = weights.load(model.weights)
    cells = learned["hidden"][0].shape[1] // 2
    learned["hidden"][0][:, cells:] = 0
    weights.save(model.weights, learned)
    methods = [name for name in METHODS if name != "cam"]
    found, = explain(model, kind, [pictures(2)], methods, [1])
    # The first two know no score; a softmax gives channels that make no difference equal parts.
    blind = ("eigen-cam", "random", "score-cam", "ss-cam")
    for (name, _, target), one in found.items():
        assert one.input == ("in0" if target in ("conv0", "in0") else "in1")
        largest = np.abs(one.cam).max()
        assert largest > 1e-5 if one.input == "in0" or name in blind else largest < 1e-6, name


def test_integrated_gradients_of_one_stream_leave_the_others_as_they_are(tmp_path, kind):
    model = load(tmp_path / "two", streams(2))
    with open_explainer(model, kind, ["integrated-gradients"], samples=64) as explainer:
        result, = results(explainer.explain([pictures(2)], [1]))
        grey = {name: np.full_like(one, 0) for name, one in pictures(2).items()}
        black = dataclasses.replace(explainer.model.preprocessing, mean=None, scale=1.0)
        explainer.model = dataclasses.replace(model, inputs=dict(model.inputs, in0=black))
        without, = results(explainer.explain([dict(pictures(2), in0=grey["in0"])], [1]))
    one = result.explanations[0]
    lost = float(result.scores[1] - without.scores[1])
    assert one.input == "in0"
    assert one.cam.sum(dtype=np.float64) == pytest.approx(lost, rel=2e-2)


SIAMESE = (INPUT % (0, 0) + INPUT % (1, 1) + STREAM % ((0,) * 9) + STREAM % ((1,) * 9) + """
layer { name: "less" type: "Eltwise" bottom: "pool0" bottom: "pool1" top: "less"
        eltwise_param { coeff: 1 coeff: -1 } }
layer { name: "distance" type: "Reduction" bottom: "less" top: "distance"
        reduction_param { operation: SUMSQ axis: 1 } }
""")


def test_of_a_siamese_net_each_map_says_where_the_pictures_differ(tmp_path, kind):
    """The score is the squared distance d . d: g . A is 2 d . A on one side, -2 d . A on the
    other, and together they are twice the score."""
    model = load(tmp_path / "siamese", SIAMESE, score="distance")
    with open_explainer(model, kind, ["hirescam"]) as explainer:
        explainer.engine = Counted(explainer.engine)
        outcomes = explainer.explain([pictures(2), pictures(2, 1)], [0])
        assert explainer.engine.backwards == 1
    for result in results(outcomes):
        first, second = result.explanations
        assert (first.input, second.input) == ("in0", "in1")
        total = first.cam.sum(dtype=np.float64) + second.cam.sum(dtype=np.float64)
        assert total == pytest.approx(2 * result.scores[0], rel=1e-4)


def test_what_speaks_for_likeness_is_the_opposite(tmp_path, kind):
    model = load(tmp_path / "siamese", SIAMESE, score="distance")
    found, = explain(model, kind, [pictures(2)], questions=[0, Against(Class(0))])
    for target in ("conv0", "conv1"):
        assert np.array_equal(found["grad-cam", "output 0", target].cam,
                              -found["grad-cam", "against output 0", target].cam)


def dense():
    """A small FCN: strides of 2, a score of four classes for every cell."""
    b = Builder("dense", (1, 3, 25, 33))
    x = b.conv_relu("conv1", "data", 8, 3, stride=2)
    x = b.conv_relu("conv2", x, 8, 3, pad=1)
    b.softmax(b.conv("score", x, 4, 1))
    return b.text()


@pytest.fixture
def segmenter(tmp_path):
    return load(tmp_path / "dense", dense())


# One cell of the scores sees 7 x 7 pixels: 3 by stride 2 twice more.
SIZE, SEEN = (50, 66), (12, 16)


@pytest.mark.parametrize("region, rows, columns", [
    ((26, 22, 1, 1), (22, 23), (26, 27)),
    ((20, 10, 12, 16), (10, 26), (20, 32)),
])
def test_a_region_of_a_score_map_is_explained_by_what_its_cells_see(
        segmenter, kind, region, rows, columns):
    picture = photographs(1, SIZE)
    mask = np.zeros(SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    asked = [At(Class(2), region), At(Class(2), mask), Class(2)]
    found, = explain(segmenter, kind, picture, ["saliency"], asked)
    box, by_mask, whole = found.values()
    np.testing.assert_array_equal(box.cam, by_mask.cam)
    assert box.score == by_mask.score != whole.score
    down, right = np.nonzero(box.heatmap)
    # Each cell of the scores sees 7 pixels, each of which is 2 of the photograph.
    assert rows[0] - 12 <= down.min() and down.max() <= rows[1] + 12
    assert columns[0] - 12 <= right.min() and right.max() <= columns[1] + 12
    assert mask[down.min():down.max() + 1, right.min():right.max() + 1].sum() == mask.sum()
    assert (whole.cam > 0).mean() > 0.9


def test_a_pixels_score_is_that_of_its_cell(segmenter, kind):
    """Pixel (26, 22) of the photograph lies at 13.5, 11.5 of the input: cell (6, 5)."""
    from caffe_gradcam.asking.seeds import to_probabilities
    from caffe_gradcam.model.preprocess import prepare

    picture = photographs(1, SIZE)[0]
    asked = [At(Class(2), (26, 22, 1, 1)), Probability(At(Class(2), (26, 22, 1, 1))),
             At(Top(1), (26, 22, 1, 1))]
    with open_explainer(segmenter, kind) as explainer:
        result, = results(explainer.explain([picture], asked))
        scores = explainer.engine.forward(
            prepare(picture, segmenter.inputs).blobs, ["score"])["score"][0, :, 5, 6]
    score, chance, best = result.explanations
    assert score.score == pytest.approx(scores[2], rel=1e-5)
    assert chance.score == pytest.approx(to_probabilities(scores, "softmax")[2], rel=1e-5)
    assert best.class_index == scores.argmax()


def test_likeness_to_itself_is_the_squared_length_of_the_score_map(segmenter, kind):
    picture = photographs(1, SIZE)[0]
    with open_explainer(segmenter, kind) as explainer:
        reference = explainer.score_blob(picture)
        found, = named(explainer.explain([picture], [Like(reference), Like(reference, True)]))
    dot, cosine = found.values()
    assert dot.score == pytest.approx((reference.astype(float) ** 2).sum(), rel=1e-5)
    assert cosine.score == pytest.approx(1)
    assert np.abs(cosine.cam).max() < 1e-4 * np.abs(dot.cam).max()


def test_every_method_answers_for_a_region(segmenter, kind):
    methods = [name for name in METHODS if name != "cam"]
    asked = [At(Class(2), (20, 10, 12, 16)), Against(Probability(At(Class(1), (0, 0, 9, 9))))]
    found, = explain(segmenter, kind, photographs(1, SIZE), methods, asked)
    assert len(found) == 2 * len(methods) and all(np.ptp(one.cam) > 0 for one in found.values())


def test_no_region_in_ten_crops(tmp_path, kind):
    model = load(tmp_path / "dense", dense(), resize="40", crop="25x33", crops="10")
    with open_explainer(model, kind) as explainer:
        outcome, fine = explainer.explain(
            photographs(2, SIZE), [[At(Class(2), (1, 1, 1, 1))], [Class(2)]])
    assert "cannot be asked about in ten crops" in str(outcome.error)
    assert fine.unwrap().explanations[0].class_index == 2
