"""An engine in a process of its own."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from definitions import random_input
from nets import AROUND

from caffe_gradcam.engines import NetToRun, Running, open_engine
from caffe_gradcam.engines.isolated import IsolatedEngine
from prototxt_tools import weights
from prototxt_tools.errors import EngineError, EngineFailed, ImageError, OutOfMemory, QuestionError

PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
DATA = {"data": np.ones((1, 2, 6, 6), np.float32)}
TORCH = Running(engine="torch")


@pytest.fixture
def net(torch, write_weights):
    return NetToRun(PLAIN, write_weights(PLAIN), ("score",), ("conv",))


def test_it_gives_what_the_engine_gives_here(net):
    results = []
    for engine in (IsolatedEngine(net, TORCH), open_engine(net, TORCH)):
        with engine:
            values = engine.forward(DATA, ["conv", "score"])
            gradient = engine.backward("score", np.ones((1, 3)), ["conv"])["conv"]
            results.append((engine.description, values["conv"], values["score"], gradient))
    assert results[0][0] == results[1][0]
    for isolated, here in zip(results[0][1:], results[1][1:]):
        assert np.array_equal(isolated, here)


def test_refusals_come_through_as_they_were_made(net):
    with pytest.raises(QuestionError) as caught:
        IsolatedEngine(dataclasses.replace(net, targets=("score",)), TORCH)
    assert type(caught.value) is QuestionError and caught.value.subject == "score"
    assert str(caught.value) == "no score depends on blob 'score', so it has no gradient"
    zorp = dataclasses.replace(net, prototxt=PLAIN.replace('"ReLU"', '"Zorp"'))
    with pytest.raises(EngineError, match="no layer type 'Zorp'"):
        IsolatedEngine(zorp, TORCH)


def test_a_refused_call_leaves_the_engine_alive(net):
    with IsolatedEngine(net, TORCH) as engine:
        with pytest.raises(ImageError, match="input blob 'data' is missing"):
            engine.forward({}, [])
        engine.forward(DATA, [])
        with pytest.raises(QuestionError, match="not opened for target 'it'"):
            engine.backward("score", np.ones((1, 3)), ["it"])
        assert engine.backward("score", np.ones((1, 3)), ["conv"])["conv"].any()


def test_a_mistake_of_the_program_is_not_taken_for_bad_input(net):
    with pytest.raises(RuntimeError, match="TypeError"):
        IsolatedEngine(dataclasses.replace(net, prototxt=5), TORCH)


def test_a_killed_child_is_reported_and_replaced(net):
    with IsolatedEngine(net, TORCH) as engine:
        engine.forward(DATA, [])
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(OutOfMemory, match="was killed; is there enough memory"):
            engine.backward("score", np.ones((1, 3)), ["conv"])
        with pytest.raises(EngineError, match="backward needs a forward before it"):
            engine.backward("score", np.ones((1, 3)), ["conv"])
        assert engine.forward(DATA, ["score"])["score"].shape == (1, 3)


def test_a_call_that_takes_too_long_is_stopped(net):
    with pytest.raises(EngineFailed, match="no answer within 0.001 s"):
        IsolatedEngine(net, dataclasses.replace(TORCH, timeout=0.001))


def test_a_plugin_is_imported_in_the_child(net, tmp_path, monkeypatch):
    (tmp_path / "doubling.py").write_text(
        "from caffe_gradcam.engines.torch import layer\n"
        "layer('Double')(lambda message, bottoms, weights: [bottoms[0] * 2])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    double = dataclasses.replace(net, prototxt=PLAIN.replace('"ReLU"', '"Double"'))
    running = dataclasses.replace(TORCH, plugins=("doubling",))
    with IsolatedEngine(double, running) as engine:
        values = engine.forward(DATA, ["conv", "it"])
    assert "doubling" not in sys.modules
    np.testing.assert_allclose(values["it"], values["conv"] * 2)


def test_a_plugin_that_cannot_be_imported_is_named(net):
    with pytest.raises(QuestionError, match="plugin 'no_such_plugin' cannot be imported"):
        IsolatedEngine(net, dataclasses.replace(TORCH, plugins=("no_such_plugin",)))


SLOW = """
input: "data" input_shape { dim: 1 dim: 64 dim: 64 dim: 64 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 64 kernel_size: 3 pad: 1 } }
""" + "".join(f"""
layer {{ name: "c{i}" type: "Convolution" bottom: "conv" top: "c{i}"
        convolution_param {{ num_output: 64 kernel_size: 5 pad: 2 }} }}
layer {{ name: "e{i}" type: "Eltwise" bottom: "c{i}" bottom: "{'conv' if not i else f'e{i - 1}'}"
        top: "e{i}" }}""" for i in range(20)) + """
layer { name: "score" type: "Pooling" bottom: "e19" top: "score"
        pooling_param { pool: AVE global_pooling: true } }
"""
PARENT = """
import sys
import numpy as np
from caffe_gradcam.engines import NetToRun, Running
from caffe_gradcam.engines.isolated import IsolatedEngine
net = NetToRun(open(sys.argv[2]).read(), sys.argv[3], ("score",), ("conv",))
engine = IsolatedEngine(net, Running(engine=sys.argv[1]))
print(engine.pid, flush=True)
engine.forward({"data": np.ones((128, 64, 64, 64), np.float32)}, ["score"])
print("done", flush=True)
"""


def test_it_ends_with_its_parent_in_the_middle_of_a_pass(kind, tmp_path):
    random = np.random.RandomState(0)
    learned = {f"c{i}": [random.randn(64, 64, 5, 5).astype(np.float32) / 40, np.zeros(64, "f4")]
               for i in range(20)}
    learned["conv"] = [random.randn(64, 64, 3, 3).astype(np.float32) / 24, np.zeros(64, "f4")]
    weights.save(str(tmp_path / "slow.caffemodel"), learned)
    (tmp_path / "slow.prototxt").write_text(SLOW)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, str(tmp_path / "slow.prototxt"),
         str(tmp_path / "slow.caffemodel")], stdout=subprocess.PIPE, env=environment)
    pid = int(parent.stdout.readline())
    begin = _processor_seconds(pid)
    while _processor_seconds(pid) < begin + 1:
        time.sleep(0.05)
    parent.kill()
    # Nothing more was printed: the pass was not over.
    assert parent.stdout.read() == b""
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 2
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _lives(pid)


def _status(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def _processor_seconds(pid):
    return (int(_status(pid)[11]) + int(_status(pid)[12])) / os.sysconf("SC_CLK_TCK")


def _lives(pid):
    try:
        return _status(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_that_was_opened_in_a_thread_that_has_ended_goes_on(net):
    engines = []
    thread = threading.Thread(target=lambda: engines.append(IsolatedEngine(net, TORCH)))
    thread.start()
    thread.join()
    with engines[0] as engine:
        time.sleep(0.2)
        assert engine.forward(DATA, ["score"])["score"].shape == (1, 3)


def test_arrays_come_back_as_they_were_and_stay_so(net):
    """Large ones through the shared memory, which the next message overwrites."""
    large = random_input((500, 2, 6, 6))
    with IsolatedEngine(net, TORCH) as engine:
        first = engine.forward({"data": large}, ["conv", "score"])
        kept = {name: value.copy() for name, value in first.items()}
        gradient = engine.backward("score", np.ones((500, 3)), ["conv"])["conv"].copy()
        small = engine.forward({"data": -large[:1]}, ["conv"])["conv"]
        engine.forward({"data": large[::-1]}, [])
        reversed_gradient = engine.backward("score", np.ones((500, 3)), ["conv"])["conv"]
    for name in first:
        assert np.array_equal(first[name], kept[name])
    assert small.shape == (1, 4, 4, 4)
    assert np.array_equal(reversed_gradient, gradient[::-1])
