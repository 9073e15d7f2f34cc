"""Processes of one's own: how they end, and what they leave behind."""

import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest

from caffe_gradcam.processes import lifetime
from caffe_gradcam.processes.child import Child
from caffe_gradcam.processes.errors import portable
from caffe_gradcam.processes.last_words import Death, last_words
from prototxt_tools.errors import EngineFailed, InputError, OutOfMemory, PrototxtError

ROOT = pathlib.Path(__file__).resolve().parents[1]
ENVIRONMENT = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
# Holds the interpreter's lock, as Caffe does for the length of a pass, so no thread can run.
BUSY = "test_child:hold_the_lock"


def echo(pipe, *arguments):
    pipe.send(arguments)
    while True:
        pipe.send(pipe.recv())


def hold_the_lock(pipe):
    """Sleep for a minute in a C function that keeps the lock."""
    import ctypes

    pipe.send("begun")
    ctypes.PyDLL(None).sleep(60)


def abort(pipe):
    os.write(2, b"F1121 01:18:30.4 26527 net.cpp:759] No.\n*** Check failure stack trace: ***\n")
    os.abort()


def fail(pipe):
    class Slow:
        def __del__(self):
            time.sleep(1)

    pipe.slow = Slow()
    raise KeyError("x")


def leave_an_orphan(pipe):
    """Fork a process that holds the pipe and the standard error, and die."""
    orphan = os.fork()
    if not orphan:
        time.sleep(60)
        os._exit(0)
    pipe.send(orphan)
    os.write(2, b"the engine is out of order\n")
    os._exit(3)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends_within(pid, seconds):
    end = time.monotonic() + seconds
    while lives(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not lives(pid)


@pytest.fixture
def child():
    child = Child("test_child:echo", ("a", 1), "helper")
    yield child
    child.kill()


def test_it_is_given_its_arguments_and_a_pipe(child):
    assert child.pipe.recv() == ("a", 1)
    child.pipe.send([2])
    assert child.pipe.recv() == [2]


def test_it_lives_on_when_the_thread_that_started_it_has_ended():
    children = []
    thread = threading.Thread(
        target=lambda: children.append(Child("test_child:echo", (), "helper")))
    thread.start()
    thread.join()
    child, = children
    assert child.pipe.recv() == ()
    time.sleep(0.2)
    child.pipe.send("still here")
    assert child.pipe.recv() == "still here"
    child.kill()


PARENT = """
import sys, time
from caffe_gradcam.processes.child import Child
child = Child(sys.argv[1], (), "helper")
child.pipe.recv()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("function", ["test_child:echo", BUSY])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_whatever_either_does(function, blow):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, function],
                              stdout=subprocess.PIPE, env=ENVIRONMENT)
    pid = int(parent.stdout.readline())
    parent.send_signal(blow)
    parent.wait()
    parent.stdout.close()
    assert ends_within(pid, 2)


def test_it_ends_with_its_parent_where_the_kernel_does_not_see_to_it():
    without = PARENT.replace(
        "child = ", "from caffe_gradcam.processes import child as module\n"
        "module._PROGRAM = 'from caffe_gradcam.processes import lifetime\\n"
        "lifetime._kernel_kills_with_parent = lambda: False\\n' + module._PROGRAM\nchild = ")
    parent = subprocess.Popen([sys.executable, "-c", without, "test_child:echo"],
                              stdout=subprocess.PIPE, env=ENVIRONMENT)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ends_within(pid, 2)


def test_a_fork_leaves_it_alone_and_starts_its_own(child):
    child.pipe.recv()
    fork = os.fork()
    if not fork:
        try:
            own = Child("test_child:echo", ("own",), "helper")
            is_right = child.kill() is None and own.pipe.recv() == ("own",)
            own.kill()
            os._exit(0 if is_right else 1)
        finally:
            os._exit(2)
    assert os.waitpid(fork, 0)[1] == 0
    child.pipe.send("still here")
    assert child.pipe.recv() == "still here"


def test_a_program_that_is_not_there_is_an_error_of_the_caller():
    with pytest.raises(FileNotFoundError):
        lifetime.start(["/nowhere/at/all"])


def test_its_last_words_are_told():
    child = Child("test_child:abort", (), "engine")
    with pytest.raises(EOFError):
        child.pipe.recv()
    assert child.kill() == Death(-signal.SIGABRT, "Caffe stopped: No.")
    assert child.kill() == Death(-signal.SIGABRT, "Caffe stopped: No.")


def test_its_pipe_ends_with_it_though_a_process_that_it_forked_lives_on():
    child = Child("test_child:leave_an_orphan", (), "engine")
    orphan = child.pipe.recv()
    try:
        begin = time.monotonic()
        with pytest.raises(EOFError):
            child.pipe.recv()
        with pytest.raises(OSError):
            child.pipe.send(bytes(1 << 22))  # More than a pipe holds that nobody reads.
        assert child.kill() == Death(
            3, "the engine's process ended with status 3: the engine is out of order")
        assert lives(orphan) and time.monotonic() - begin < 10
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_it_ends_when_nothing_refers_to_it_any_more():
    child = Child("test_child:echo", (), "helper")
    assert child.pipe.recv() == ()
    pid = child.pid
    del child
    assert ends_within(pid, 2)


def test_an_exception_is_told_however_slowly_the_interpreter_ends():
    child = Child("test_child:fail", (), "helper")
    with pytest.raises(EOFError):
        child.pipe.recv()
    assert child.kill() == Death(1, "the helper's process ended with status 1: KeyError: 'x'")


def test_one_that_is_killed_ends_at_once():
    child = Child(BUSY, (), "helper")
    assert child.pipe.recv() == "begun"
    begin = time.monotonic()
    assert child.kill().status == -signal.SIGKILL
    assert time.monotonic() - begin < 2


def test_death_for_want_of_memory_is_told_apart_from_others():
    allocation = ["F1121 01:18:30.4 26527 syncedmem.hpp:33] Check failed: *ptr host allocation of "
                  "size 8000000000 failed", "*** Check failure stack trace: ***"]
    thrown = ["terminate called after throwing an instance of 'std::bad_alloc'",
              "  what():  std::bad_alloc"]
    cuda = ["F1121 01:18:30.4 26527 syncedmem.cpp:71] Check failed: error == cudaSuccess (2 vs. 0) "
            " out of memory"]
    for lines, status in ((allocation, -6), (thrown, -6), (cuda, -6), ([], -9)):
        assert type(Death(status, last_words(lines, status)).error()) is OutOfMemory
    words = last_words(["F1121 01:18:30.4 26527 net.cpp:759] No."], -6)
    assert type(Death(-6, words).error()) is EngineFailed


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


def test_glog_may_write_the_year_too():
    lines = ["I20261121 01:18:30.4 26527 net.cpp:51] Initializing net",
             "F20261121 01:18:30.5 26527 layer.hpp:68] Not Implemented Yet",
             "*** Check failure stack trace: ***"]
    assert last_words(lines, -6) == "Caffe stopped: Not Implemented Yet"


@pytest.mark.parametrize("reason", [
    "error == cudaSuccess (100 vs. 0)  no CUDA-capable device is detected",
    "error == cudaSuccess (35 vs. 0)  CUDA driver version is insufficient for CUDA runtime"])
def test_a_missing_card_is_told_with_what_to_do(reason):
    lines = [f"F20261121 01:18:30.5 26527 common.cpp:152] Check failed: {reason} version"]
    assert last_words(lines, -6) == (
        "Caffe found no NVIDIA card that it can use; check the card and its driver with "
        "nvidia-smi, or use --device cpu")


def test_the_last_words_begin_with_what_protobuf_wrote():
    lines = ["I1121 01:18:30.4 26527 net.cpp:51] Initializing net",
             "[libprotobuf ERROR google/protobuf/text_format.cc:307] Error parsing text-format "
             "caffe.NetParameter: 5:3: Message type \"caffe.LayerParameter\" has no field \"x\".",
             "F1121 01:18:30.5 26527 upgrade_proto.cpp:90] Check failed: Read(f) Failed to parse"]
    assert last_words(lines, -6) == (
        "Caffe stopped: Error parsing text-format caffe.NetParameter: 5:3: Message type "
        "\"caffe.LayerParameter\" has no field \"x\". Check failed: Read(f) Failed to parse")


def test_without_a_fatal_sentence_the_status_and_the_last_line_are_told():
    assert last_words([], 3) == (
        "the engine's process ended with status 3 and no error message")
    assert last_words(["Traceback", "ImportError: x"], 1, "decoder") == (
        "the decoder's process ended with status 1: ImportError: x")
    assert last_words([], -9, "decoder") == (
        "the decoder's process was killed; is there enough memory?")


def test_an_error_goes_to_another_process_as_it_is():
    error = PrototxtError("no", "net.prototxt", 3, 5)
    assert portable(error) is error
    assert str(pickle.loads(pickle.dumps(error))) == "net.prototxt:3:5: no"


def test_an_error_that_cannot_be_pickled_goes_as_one_of_its_nearest_class():
    class Special(OutOfMemory):
        pass

    class Odd(PrototxtError):
        pass

    error = portable(Special("so", "here"))
    assert (type(error), str(error), error.subject) == (OutOfMemory, "so", "here")
    assert str(portable(Odd("so", "net.prototxt", 1, 2))) == "net.prototxt:1:2: so"
    assert isinstance(portable(Odd("so")), InputError)


def test_a_process_starts_after_the_folder_of_the_program_was_left(tmp_path):
    code = ("import os, sys; sys.path[:] = [''] + [path for path in sys.path if path != {root!r}]\n"
            "from caffe_gradcam.processes.child import Child\n"
            "os.chdir({folder!r}); sys.path.append({tests!r})\n"
            "child = Child('test_child:echo', ('here',), 'test')\n"
            "print(child.pipe.recv()); child.kill()").format(
                root=str(ROOT), folder=str(tmp_path), tests=str(ROOT / "tests"))
    # Without site: the package may be installed.
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(
        path for path in sys.path if path.endswith("-packages")))
    output = subprocess.check_output([sys.executable, "-S", "-c", code], cwd=str(ROOT),
                                     env=environment, universal_newlines=True)
    assert output == "('here',)\n"
