"""How many nets, threads and decoders a run has where it is not told."""

import dataclasses
import os
from typing import Sequence

from caffe_gradcam.batch.options import CARD, REDUCED, Pipeline

# Threads of the process that feeds a GPU.
_FEEDING = 4
# A net takes its weights and their copies in the forms that libraries compute with, blobs, and
# the libraries.
_COPIES, _LIBRARIES = 3, 1 << 29
_DECODING = {REDUCED: "; JPEGs are decoded at reduced size",
             CARD: "; JPEGs are decoded on the card"}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def default_threads(devices: Sequence[str], weights_size: int) -> int:
    """Threads of each net, in which no two nets compete for a core.

    A net of one thread on each core is faster than one net with a thread on each, since threads
    wait for each other at the end of every layer. There are fewer where the memory does not hold
    as many.

    Parameters
    ----------
    devices : sequence of str
    weights_size : int
        Bytes.
    """
    if any(device != "cpu" for device in devices):
        return min(_FEEDING, cores())
    nets = len(devices) if len(devices) > 1 else _most_nets(weights_size)
    return max(1, cores() // nets)


def chosen(pipeline: Pipeline, threads: int, items: int) -> Pipeline:
    """The pipeline with numbers for all that it leaves open.

    There are as many decoders as cores, beside nets on the CPU too: a decoder that is ahead waits,
    and one alone would keep quick nets waiting where the images are large. A run of a few images
    has no more decoders than images, since each of them takes a moment to start. The actors of a
    Ray cluster have theirs of the runner.

    Parameters
    ----------
    pipeline : Pipeline
        Its devices are named.
    threads : int
        Of each net.
    items : int
        More nets than batches would have nothing to do, nor would more decoders than images.
    """
    batches = -(-items // pipeline.batch)
    devices = pipeline.devices
    if tuple(devices) == ("cpu",):
        devices = ("cpu",) * max(1, min(cores() // threads, batches))
    decoders = pipeline.decoders or (
        None if pipeline.runner == "ray" else max(1, min(cores(), items)))
    return dataclasses.replace(pipeline, devices=devices, threads=threads, decoders=decoders)


def sentence(pipeline: Pipeline) -> str:
    """What was chosen, in words."""
    threads = _counted(pipeline.threads or 1, "thread")
    if pipeline.runner == "ray":
        return f"running nets with {threads} each on Ray" + _DECODING.get(pipeline.decode, "")
    devices = list(dict.fromkeys(pipeline.devices))
    return (f"running {_counted(len(pipeline.devices), 'net')} on {', '.join(devices)} with "
            f"{threads} each and "
            f"{_counted(pipeline.decoders or 1, 'decoder')}" + _DECODING.get(pipeline.decode, ""))


def _most_nets(weights_size: int) -> int:
    return max(1, min(cores(), _memory() // 2 // (_COPIES * weights_size + _LIBRARIES)))


def _memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
