"""An engine in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from nets import AROUND

from caffe_gradcam.engines import EngineError, OutOfMemory, open_engine
from caffe_gradcam.engines.isolated import IsolatedEngine, as_said, death, last_words
from caffe_gradcam.engines.shared import SharedMemory
from prototxt_tools.errors import InputError

PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
DATA = {"data": np.ones((1, 2, 6, 6), np.float32)}


@pytest.fixture
def arguments(torch, write_weights):
    return {"prototxt": PLAIN, "weights": write_weights(PLAIN), "scores": ["score"],
            "targets": ["conv"]}


def test_it_gives_what_the_engine_gives_here(arguments):
    results = []
    for engine in (IsolatedEngine("torch", arguments), open_engine("torch", **arguments)):
        with engine:
            values = engine.forward(DATA, ["conv", "score"])
            gradient = engine.backward("score", np.ones((1, 3)), ["conv"])["conv"]
            results.append((engine.description, values["conv"], values["score"], gradient))
    assert results[0][0] == results[1][0]
    for isolated, here in zip(results[0][1:], results[1][1:]):
        assert np.array_equal(isolated, here)


def test_refusals_come_through_as_they_were_said(arguments):
    with pytest.raises(InputError) as caught:
        IsolatedEngine("torch", dict(arguments, targets=["nowhere"]))
    assert type(caught.value) is InputError
    assert str(caught.value) == "the net has no blob 'nowhere' in phase TEST"
    with pytest.raises(EngineError, match="no layer type 'Zorp'"):
        IsolatedEngine("torch", dict(arguments, prototxt=PLAIN.replace('"ReLU"', '"Zorp"')))


@pytest.mark.parametrize("kind", [InputError, EngineError, OutOfMemory])
def test_refusals_keep_their_type(kind):
    class Special(kind):
        pass

    assert type(as_said(Special("so"))) is kind
    assert str(as_said(Special("so"))) == "so"


def test_a_refused_call_leaves_the_engine_alive(arguments):
    with IsolatedEngine("torch", arguments) as engine:
        with pytest.raises(InputError, match="input blob 'data' is missing"):
            engine.forward({}, [])
        engine.forward(DATA, [])
        with pytest.raises(InputError, match="none of the targets"):
            engine.backward("score", np.ones((1, 3)), ["it"])
        assert engine.backward("score", np.ones((1, 3)), ["conv"])["conv"].any()


def test_a_mistake_of_the_program_is_not_taken_for_bad_input(arguments):
    with pytest.raises(RuntimeError, match="TypeError"):
        IsolatedEngine("torch", dict(arguments, nonsense=1))


def test_a_killed_child_is_reported_and_replaced(arguments):
    with IsolatedEngine("torch", arguments) as engine:
        engine.forward(DATA, [])
        os.kill(engine._child.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="was killed; is there enough memory"):
            engine.backward("score", np.ones((1, 3)), ["conv"])
        assert engine.forward(DATA, ["score"])["score"].shape == (1, 3)


def test_a_call_that_takes_too_long_is_stopped(arguments):
    with pytest.raises(EngineError, match="no answer within 0.001 s"):
        IsolatedEngine("torch", arguments, timeout=0.001)


def test_the_child_ends_with_its_parent(arguments):
    script = ("import json, os, sys\n"
              "from caffe_gradcam.engines.isolated import IsolatedEngine\n"
              "engine = IsolatedEngine('torch', json.loads(sys.argv[1]))\n"
              "print(engine._child.pid, flush=True)\n"
              "os._exit(0)\n")
    import json

    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    parent = subprocess.Popen([sys.executable, "-c", script, json.dumps(arguments)],
                              stdout=subprocess.PIPE, env=environment)
    # The child holds the same pipe as its stderr: the pipe ends when both are gone.
    pid = int(parent.stdout.read())
    parent.wait()
    end = time.monotonic() + 60
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_arrays_come_back_as_they_were_and_stay_so(arguments):
    """Large ones through the shared memory, which the next message overwrites."""
    large = np.random.RandomState(0).randn(500, 2, 6, 6).astype(np.float32)
    with IsolatedEngine("torch", arguments) as engine:
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


def test_a_message_is_what_it_was_on_the_other_side():
    ours = SharedMemory()
    theirs = SharedMemory(os.dup(ours.file_descriptor))
    large = np.arange(60000, dtype=np.float64).reshape(3, 100, 200)
    message = ("forward", {"a": large[:, ::2], "b": [large.T, 5]},
               large[:1].astype(np.int64), ["x"])
    for factor in (1, 3):
        arrays = theirs.unpack(ours.pack(message))
        assert arrays[0] == "forward" and arrays[3] == ["x"] and arrays[1]["b"][1] == 5
        assert np.array_equal(arrays[1]["a"], large[:, ::2])
        assert np.array_equal(arrays[1]["b"][0], large.T)
        assert np.array_equal(arrays[2], large[:1]) and arrays[2].dtype == np.int64
        back = ours.unpack(theirs.pack(np.concatenate([large] * factor)))
        assert np.array_equal(back[-3:], large) and len(back) == 3 * factor
    ours.close()
    theirs.close()


def test_a_child_out_of_memory_is_told_apart_from_others():
    allocation = ["F1121 01:18:30.4 26527 syncedmem.hpp:33] Check failed: *ptr host allocation of "
                  "size 8000000000 failed", "*** Check failure stack trace: ***"]
    thrown = ["terminate called after throwing an instance of 'std::bad_alloc'",
              "  what():  std::bad_alloc"]
    cuda = ["F1121 01:18:30.4 26527 syncedmem.cpp:71] Check failed: error == cudaSuccess (2 vs. 0) "
            " out of memory"]
    for lines, status in ((allocation, -6), (thrown, -6), (cuda, -6), ([], -9)):
        assert type(death(lines, status)) is OutOfMemory
    assert type(death(["F1121 01:18:30.4 26527 net.cpp:759] No."], -6)) is EngineError


LOG = """\
WARNING: Logging before InitGoogleLogging() is written to STDERR
F1121 01:18:30.457368 26527 net.cpp:759] Cannot copy param 0 weights from layer 'conv8'; \
shape mismatch.  Source param shape is 128 128 1 1 (16384); target is 32 128 1 1 (4096).
To learn this layer's parameters from scratch rename the layer.
*** Check failure stack trace: ***
    @     0x7f2a  google::LogMessage::Fail()
"""


def test_the_last_words_are_the_fatal_sentence_on_one_line():
    assert last_words(LOG.splitlines(), -6) == (
        "Caffe stopped: Cannot copy param 0 weights from layer 'conv8'; shape mismatch.  Source "
        "param shape is 128 128 1 1 (16384); target is 32 128 1 1 (4096). To learn this layer's "
        "parameters from scratch rename the layer.")


def test_the_last_words_begin_with_what_protobuf_said():
    lines = ["I1121 01:18:30.4 26527 net.cpp:51] Initializing net",
             "[libprotobuf ERROR google/protobuf/text_format.cc:307] Error parsing text-format "
             "caffe.NetParameter: 5:3: Message type \"caffe.LayerParameter\" has no field \"x\".",
             "F1121 01:18:30.5 26527 upgrade_proto.cpp:90] Check failed: Read(f) Failed to parse"]
    assert last_words(lines, -6) == (
        "Caffe stopped: Error parsing text-format caffe.NetParameter: 5:3: Message type "
        "\"caffe.LayerParameter\" has no field \"x\". Check failed: Read(f) Failed to parse")


def test_without_a_fatal_sentence_the_status_and_the_last_line_are_told():
    assert last_words([], 3) == "the engine's process ended with status 3: it said nothing"
    assert "status 1: ImportError: x" in last_words(["Traceback", "ImportError: x"], 1)
