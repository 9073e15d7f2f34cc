"""What is the torch engine's own: no autograd below the targets, no blob kept too long."""

import os
import platform
import weakref

import numpy as np
import pytest
from nets import AROUND, BRANCHES
from opened import open_net

from prototxt_tools.errors import EngineError, EngineFailed, OutOfMemory
from prototxt_tools.net.net import Net

torch = pytest.importorskip("torch")

from caffe_gradcam.engines.torch import LAYERS, devices, layer  # noqa: E402


@pytest.fixture
def watched():
    """What each layer of type Watch sees: whether its bottom needs a gradient, and for which of
    the layers before it the bottom is still in memory."""
    seen, bottoms_of = {}, {}

    @layer("Watch")
    def watch(message, bottoms, weights):
        alive = [name for name, bottom in bottoms_of.items() if bottom() is not None]
        seen[message.name] = bottoms[0].requires_grad, alive
        bottoms_of[message.name] = weakref.ref(bottoms[0])
        return [bottoms[0] * 1]

    yield seen
    del LAYERS["Watch"]


def chain(*names):
    """Layers of type Watch, one on the other, from conv to it."""
    blobs = ["conv"] + list(names[:-1]) + ["it"]
    return "".join(f'layer {{ name: "{name}" type: "Watch" bottom: "{below}" top: "{above}" }}'
                   for name, below, above in zip(names, blobs, blobs[1:]))


@pytest.fixture
def path(write_weights):
    return write_weights(AROUND.format(
        'layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }'))


def test_autograd_begins_at_the_target(watched, path):
    text = AROUND.format(chain("a", "b", "c"))
    with open_net("torch", text, path, ["score"], ["b"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
    assert [needs for needs, _ in watched.values()] == [False, False, True]


def test_a_blob_goes_when_nothing_more_reads_it_unless_it_is_kept(watched, path):
    text = AROUND.format(chain("a", "b", "c", "d"))
    with open_net("torch", text, path, ["score"], ["it"]) as engine:
        # Blob a is the bottom of layer b.
        engine.forward({"data": np.ones((1, 2, 6, 6))}, ["a"])
    assert [alive for _, alive in watched.values()] == [[], [], ["b"], ["b"]]


def test_a_gpu_that_is_not_there_is_said(write_weights):
    with pytest.raises(EngineError, match="CUDA devices? here, so there is no cuda:99"):
        open_net("torch", BRANCHES, write_weights(BRANCHES), ["score"], ["join"],
                    device="cuda:99")


@pytest.mark.parametrize("complaint", [
    "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 1.00 GiB total)\nmore",
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"])
def test_a_batch_beyond_memory_is_told_apart_and_a_smaller_one_runs(complaint, path):
    @layer("Greedy")
    def greedy(message, bottoms, weights):
        if len(bottoms[0]) > 2:
            raise RuntimeError(complaint)
        return [bottoms[0] * 1]

    text = AROUND.format('layer { name: "it" type: "Greedy" bottom: "conv" top: "it" }')
    try:
        with open_net("torch", text, path, ["score"], ["conv"]) as engine:
            with pytest.raises(OutOfMemory, match="does not hold this batch") as said:
                engine.forward({"data": np.ones((3, 2, 6, 6))}, ["score"])
            assert "\n" not in str(said.value)
            with pytest.raises(EngineError, match="a forward before it"):
                engine.backward("score", np.ones((3, 3)), ["conv"])
            values = engine.forward({"data": np.ones((2, 2, 6, 6))}, ["score"])
            assert values["score"].shape == (2, 3)
    finally:
        del LAYERS["Greedy"]


@pytest.mark.parametrize("message", [
    "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later",
    "CUDA error: an illegal memory access was encountered\nmore",
    "CUDA error: unspecified launch failure"])
@pytest.mark.parametrize("is_backward", [False, True])
def test_an_error_after_which_cuda_is_lost_is_that_of_a_failed_engine(message, is_backward, path):
    class Breaking(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x * 1

        @staticmethod
        def backward(context, gradient):
            raise RuntimeError(message)

    @layer("Breaking")
    def breaking(layer_message, bottoms, weights):
        if not is_backward:
            raise RuntimeError(message)
        return [Breaking.apply(bottoms[0])]

    text = AROUND.format('layer { name: "it" type: "Breaking" bottom: "conv" top: "it" }')
    try:
        with open_net("torch", text, path, ["score"], ["conv"]) as engine:
            with pytest.raises(EngineFailed, match="can run nothing more in this") as failed:
                engine.forward({"data": np.ones((2, 2, 6, 6))}, ["score"])
                engine.backward("score", np.ones((2, 3)), ["conv"])
        assert message.split("\n")[0] in str(failed.value) and "\n" not in str(failed.value)
    finally:
        del LAYERS["Breaking"]


@pytest.mark.parametrize("kind, parameters, values", [
    ("Embed", "embed_param { input_dim: 4 num_output: 2 bias_term: false }", [0, 4]),
    ("Embed", "embed_param { input_dim: 4 num_output: 2 bias_term: false }", [-1, 3]),
    ("BatchReindex", "", [0, 4]), ("BatchReindex", "", [-1, 0])])
def test_an_index_outside_is_refused_before_it_breaks_cuda(kind, parameters, values):
    message = Net.parse(f'layer {{ name: "it" type: "{kind}" {parameters} }}').layers[0].message
    index = torch.tensor(values, dtype=torch.float32)
    bottoms = [index] if kind == "Embed" else [torch.ones(4, 2), index]
    with pytest.raises(EngineError, match="layer 'it': its indices range from .* between 0 and 3"):
        LAYERS[kind](message, bottoms, [torch.ones(4, 2)])


def precisely(path, precision):
    """Values and gradients of a small net, and the engine's description."""
    text = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    data = {"data": np.random.RandomState(0).rand(2, 2, 6, 6).astype(np.float32)}
    with open_net("torch", text, path, ["score"], ["conv"], precision=precision) as engine:
        values = engine.forward(data, ["it", "score"])
        gradient = engine.backward("score", np.ones((2, 3)), ["conv"])["conv"]
        return [values["it"], values["score"], gradient], engine.description


@pytest.mark.skipif(not hasattr(torch, "autocast"), reason="this torch has no autocast")
def test_bf16_shortens_all_products_but_those_that_are_scores(path, monkeypatch):
    """Here on any processor: those without such arithmetic imitate it."""
    monkeypatch.setattr(devices, "processor_has_bf16", lambda: True)
    shortened, description = precisely(path, "bf16")
    assert description["precision"] == "bf16"
    exact = precisely(path, "fp32")[0]
    distances = [np.linalg.norm(short - value) / np.linalg.norm(value)
                 for short, value in zip(shortened, exact)]
    assert {short.dtype for short in shortened} == {np.dtype(np.float32)}
    assert all(1e-5 < distance < 0.02 for distance in distances[:2])
    # The way back leads through the score's own matrix alone.
    assert distances[2] < 1e-6


@pytest.mark.skipif(not hasattr(torch, "autocast"), reason="this torch has no autocast")
def test_a_processor_without_bf16_computes_in_fp32_and_says_so(path, monkeypatch, caplog):
    monkeypatch.setattr(devices, "processor_has_bf16", lambda: False)
    results, description = precisely(path, "bf16")
    assert description["precision"] == "fp32"
    assert [record.getMessage() for record in caplog.records] == [
        "cpu has no arithmetic in bf16, so torch computes in fp32"]
    for exact, result in zip(precisely(path, "fp32")[0], results):
        assert np.array_equal(result, exact)
    assert len(caplog.records) == 1


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo") or platform.machine() != "x86_64",
                    reason="only the kernel of a PC tells so")
def test_whether_the_processor_has_bf16_is_what_the_kernel_says():
    with open("/proc/cpuinfo") as file:
        flags = set(file.read().split())
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        assert devices.processor_has_bf16()
    if "avx512bw" not in flags and "avx_ne_convert" not in flags:
        assert not devices.processor_has_bf16()


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_only_cuda_computes_is_refused_on_a_cpu(precision, path):
    text = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    with pytest.raises(EngineError, match="torch on cpu does not compute in " + precision):
        open_net("torch", text, path, ["score"], ["conv"], precision=precision)


def test_gradients_after_a_fork_which_torch_1_refuses_are_one_sentence(write_weights):
    with open_net("torch", BRANCHES, write_weights(BRANCHES), ["score"], ["left"]) as engine:
        with pytest.raises(EngineError, match="forked from one .*'spawn'"):
            with engine._translated_errors():
                raise RuntimeError("Unable to handle autograd's threading in combination with "
                                   "fork-based multiprocessing. See https://example.org/\nat ...")
