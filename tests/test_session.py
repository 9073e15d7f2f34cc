"""The public Model: its keywords, its lifetime, threads, forks and pickles."""

import copy
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pytest

from caffe_gradcam import METHODS, Explanation, Model, QuestionError, Top
from caffe_gradcam.model import images

torch = pytest.importorskip("torch", reason="torch is not installed here")

NAMES = ["3-5.png", "9-0.png"]
# torch 1 computes no gradients in a process that was forked after it had computed some.
FORK = ("fork" in multiprocessing.get_all_start_methods()
        and int(torch.__version__.split(".")[0]) >= 2)


@pytest.fixture(scope="module")
def scenes(models):
    return [str(models / "digits" / "scenes" / name) for name in NAMES]


@pytest.fixture
def model(models):
    with Model.load(models / "digits") as model:
        yield model


@pytest.fixture(scope="module")
def expected(models, scenes):
    """Maps of a model that nothing else uses: scene -> class -> cam."""
    with Model.load(models / "digits") as alone:
        return {scene: {index: alone.explain(scene, index, engine="torch")[0].cam
                        for index in (0, 3, 5, 9)} for scene in scenes}


def same(cam, other):
    return cam.shape == other.shape and np.abs(cam - other).max() <= 1e-5 * np.abs(other).max()


def explained(model, scene, index):
    """The cam, computed in a process of a pool."""
    return model.explain(scene, index, engine="torch")[0].cam


def test_explanations_come_by_image_and_class_each_with_its_image(model, scenes):
    explanations = model.explain(scenes, [3, "five"], engine="torch")
    assert [explanation.class_index for explanation in explanations] == [3, 5, 3, 5]
    for scene, explanation in zip(np.repeat(scenes, 2), explanations):
        assert isinstance(explanation, Explanation)
        assert np.array_equal(explanation.image, images.read(scene))


def test_without_classes_the_one_with_the_highest_score_is_explained(model, scenes):
    explanation, = model.explain(scenes[0], engine="torch")
    assert explanation.class_name in ("three", "five")
    assert np.array_equal(explanation.cam, model.explain(scenes[0], Top(1), engine="torch")[0].cam)


def test_the_batch_size_does_not_matter(model, scenes):
    single = model.explain(scenes * 2, 3, engine="torch", batch=1)
    together = model.explain(iter(scenes * 2), 3, engine="torch", batch=3)
    assert len(single) == len(together) == 4
    assert all(same(first.cam, second.cam) for first, second in zip(single, together))


def test_arrays_may_have_red_first(model, scenes):
    array = images.read(scenes[0])
    blue_first = model.explain(array, 3, engine="torch")[0]
    red_first = model.explain(array[:, :, ::-1], 3, engine="torch", color="RGB")[0]
    assert np.array_equal(blue_first.cam, red_first.cam)


def test_an_array_may_be_used_again(model, scenes):
    frame = images.read(scenes[0])
    explanation, = model.explain(frame, 3, engine="torch")
    frame[:] = 0
    assert np.array_equal(explanation.image, images.read(scenes[0]))


@pytest.mark.parametrize("keywords, problem", [
    ({"engin": "torch"}, "Model.explain has no keyword 'engin'; did you mean 'engine'"),
    ({"targets": "conv2"}, "Model.explain has no keyword 'targets'; known are images, classes"),
    ({"method": None}, "method must be a name or several, not None"),
    ({"method": 3}, "method must be a name or several, not 3"),
    ({"layers": ["conv2", 7]}, "layers must be a name or several, not 7"),
    ({"layers": "conv99"}, "no layer or blob 'conv99'"),
    ({"samples": 0}, "samples must be a whole number of at least 1"),
    ({"batch": 0}, "batch must be a whole number of at least 1"),
    ({"batch": True}, "batch must be a whole number of at least 1"),
    ({"device": "gpu"}, "gpu"),
    ({"device": 0}, "there is no device 0; use cpu, cuda or cuda:N"),
    ({"device": None}, "there is no device None"),
    ({"trust": "no"}, "trust must be True or False, not 'no'"),
    ({"allow_missing": 1}, "allow_missing must be True or False, not 1"),
    ({"verbose": None}, "verbose must be True or False, not None"),
    ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
    ({"timeout": "60"}, "timeout must be a number of seconds above 0, not '60'"),
    ({"timeout": float("nan")}, "timeout must be a number of seconds above 0, not nan"),
    ({"plugins": "../layers.py"}, "not the name of a module"),
    ({"engine": "tensorflow"}, "tensorflow"),
    ({"precision": "fp8"}, "fp8"),
    ({"color": "HSV"}, "no color 'HSV'"),
    ({"classes": 3.0}, "a class is a whole number, a name or a question"),
    ({"classes": True}, "a class is a whole number, a name or a question"),
    ({"classes": None}, "a class is a whole number, a name or a question"),
    ({"classes": -1}, "there is no class -1"),
    ({"classes": "zebra"}, "there is no class 'zebra'"),
])
def test_what_cannot_be_asked_is_one_sentence(model, scenes, keywords, problem):
    with pytest.raises(QuestionError, match=problem) as caught:
        model.explain(scenes[0], **keywords)
    assert len(str(caught.value).splitlines()) == 1


def test_a_plugin_is_imported_before_the_method_is_looked_up(model, scenes, tmp_path, monkeypatch):
    (tmp_path / "my_methods.py").write_text(
        "from caffe_gradcam import METHODS, Method\n"
        "METHODS['mine'] = Method(lambda activations: activations[:, 0], ('activations',))\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        explanation, = model.explain(scenes[0], 3, "mine", engine="torch", plugins=["my_methods"])
    finally:
        METHODS.pop("mine", None)
    assert explanation.method == "mine"


def test_the_engine_stays_open_for_the_same_settings(model, scenes):
    model.explain(scenes[0], 3, engine="torch")
    first = model._session()._explainer
    model.explain(scenes[1], 5, engine="torch", batch=2)
    assert model._session()._explainer is first
    model.explain(scenes[0], 3, engine="torch", layers="conv2")
    assert model._session()._explainer is not first
    assert first.engine._is_closed


def test_a_closed_model_opens_again(models, scenes, expected):
    with Model.load(models / "digits") as model:
        model.explain(scenes[0], 3, engine="torch")
        explainer = model._session()._explainer
    assert explainer.engine._is_closed
    model.close()
    assert same(model.explain(scenes[0], 3, engine="torch")[0].cam, expected[scenes[0]][3])
    model.close()


def test_a_model_with_other_layers_has_an_engine_of_its_own(model, scenes):
    model.explain(scenes[0], 3, engine="torch")
    with model.with_layers(["conv2"]) as other:
        assert isinstance(other, Model)
        assert other.explain(scenes[0], 3, engine="torch")[0].layer == "conv2"
    assert not model._session()._explainer.engine._is_closed


def test_models_are_equal_only_to_themselves(models, model):
    assert model == model != Model.load(models / "digits")
    assert len({model, Model.load(models / "digits")}) == 2
    with pytest.raises(TypeError):
        len(model)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_threads_that_share_a_model_get_right_maps(model, scenes, expected, count):
    wrong, start = [], threading.Barrier(count)

    def work(number):
        start.wait()
        for turn in range(3):
            scene = scenes[(number + turn) % 2]
            index = (3, 5, 9, 0)[(number + turn) % 4]
            try:
                cam = model.explain(scene, index, engine="torch")[0].cam
            except Exception as error:
                wrong.append(error)
            else:
                if not same(cam, expected[scene][index]):
                    wrong.append((scene, index))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads_with_different_settings_do_not_disturb_each_other(model, scenes, expected):
    wrong = []

    def work(layers):
        for _ in range(4):
            explanation, = model.explain(scenes[0], 3, engine="torch", layers=layers)
            fine = explanation.layer == "conv2" if layers else same(
                explanation.cam, expected[scenes[0]][3])
            if not fine:
                wrong.append(explanation)

    threads = [threading.Thread(target=work, args=(layers,)) for layers in (None, "conv2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_thread_may_close_the_model(model, scenes, expected):
    model.explain(scenes[0], 3, engine="torch")
    thread = threading.Thread(target=model.close)
    thread.start()
    assert same(model.explain(scenes[0], 3, engine="torch")[0].cam, expected[scenes[0]][3])
    thread.join()


@pytest.mark.skipif(not FORK, reason="this system does not fork, or torch not with it")
def test_after_a_fork_parent_and_child_each_have_an_engine(model, scenes, expected):
    model.explain(scenes[0], 3, engine="torch")
    parents = model._session()._explainer
    with multiprocessing.get_context("fork").Pool(1) as pool:
        cam = pool.apply_async(explained, (model, scenes[0], 5)).get(60)
    assert same(cam, expected[scenes[0]][5])
    assert model._session()._explainer is parents and not parents.engine._is_closed
    assert same(model.explain(scenes[0], 3, engine="torch")[0].cam, expected[scenes[0]][3])


@pytest.mark.skipif(not FORK, reason="this system does not fork, or torch not with it")
def test_a_forked_child_leaves_the_parents_engine_alone(model, scenes, expected):
    """The child uses the very object that it inherited, and closes it."""
    model.explain(scenes[0], 3, engine="torch")
    receiver, sender = multiprocessing.get_context("fork").Pipe(False)

    def child():
        with model:
            sender.send(model.explain(scenes[1], 9, engine="torch")[0].cam)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert receiver.poll(60)
    assert same(receiver.recv(), expected[scenes[1]][9])
    process.join(60)
    assert process.exitcode == 0
    assert same(model.explain(scenes[0], 5, engine="torch")[0].cam, expected[scenes[0]][5])


@pytest.mark.skipif(not FORK, reason="this system does not fork, or torch not with it")
def test_a_fork_in_the_middle_of_a_call_does_not_block_the_child(model, scenes, expected):
    """Another thread of the parent holds the session's lock, and no thread of the child."""
    model.explain(scenes[0], 3, engine="torch")
    receiver, sender = multiprocessing.get_context("fork").Pipe(False)

    def child():
        sender.send(model.explain(scenes[1], 9, engine="torch")[0].cam)

    with model._session()._lock:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
    assert receiver.poll(60)
    assert same(receiver.recv(), expected[scenes[1]][9])
    process.join(60)


@pytest.mark.parametrize("method", ["spawn"] + ["fork"] * FORK)
def test_a_pool_of_workers_can_have_a_model(model, scenes, expected, method):
    model.explain(scenes[0], 3, engine="torch")
    asked = [(scenes[0], 3), (scenes[1], 9), (scenes[0], 5), (scenes[1], 0)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        cams = pool.starmap_async(
            explained, [(model, scene, index) for scene, index in asked]).get(240)
    for (scene, index), cam in zip(asked, cams):
        assert same(cam, expected[scene][index])


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)),
                                    copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"])
def test_a_copy_of_a_model_has_no_engine_until_it_needs_one(model, scenes, expected, copied):
    model.explain(scenes[0], 3, engine="torch")
    with copied(model) as other:
        assert "_sessions" not in vars(other)
        assert repr(other) == repr(model)
        assert same(other.explain(scenes[0], 3, engine="torch")[0].cam, expected[scenes[0]][3])
    assert not model._session()._explainer.engine._is_closed


def test_an_explanation_is_pickled_without_what_can_be_computed_again(model, scenes):
    explanation, = model.explain(scenes[0], 3, engine="torch")
    before = len(pickle.dumps(explanation))
    heatmap = explanation.heatmap
    assert len(pickle.dumps(explanation)) == before
    assert np.array_equal(pickle.loads(pickle.dumps(explanation)).heatmap, heatmap)


def test_the_session_of_another_process_is_never_the_own_one(model):
    session = model._session()
    model.__dict__["_sessions"] = {os.getpid() + 1: session}
    assert model._session() is not session

