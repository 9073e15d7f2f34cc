"""Shards on the devices of this machine."""

import threading

from caffe_gradcam.batch.pipeline.lane import Lane, default_workers
from caffe_gradcam.batch.pipeline.writing import explain_shards


def run(plan, work, shards, gauges, warn, stop, devices=("cpu",), workers=None):
    """Explain shards on all devices; each takes the next shard when it can begin one.

    Parameters
    ----------
    plan : Plan
    work : Work
    shards : list of int
    gauges : Gauges
    warn : callable
        Is given sentences.
    stop : threading.Event
        When set no shard is begun any more; those that are begun are finished.
    devices : sequence of str
        "cpu" or "cuda:N".
    workers : int, optional
        Decoders per device.

    Returns
    -------
    list of dict
        Of each device, what ran there.

    Raises
    ------
    InputError
        See ``explain_shards``.
    """
    count = workers or default_workers(devices)
    queue = _Queue(shards, stop)
    ran, errors = [], []

    def work_on(device):
        try:
            with Lane(work.spec, device, count, work.batch, work.timeout,
                      gauges=gauges) as lane:
                explain_shards(plan, work, lane, queue, warn, lambda shard: None)
                ran.append(lane.description)
        except BaseException as error:
            stop.set()
            errors.append(error)

    if len(devices) == 1:
        work_on(devices[0])
    else:
        threads = [threading.Thread(target=work_on, args=(device,)) for device in devices]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # Signals are handled between such waits.
    if errors:
        raise errors[0]
    return [one for one in ran if one]


class _Queue:
    """Shards, each given to one taker."""

    def __init__(self, shards, stop):
        self._shards, self._stop = iter(shards), stop
        self._guard = threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self._guard:
            if self._stop.is_set():
                raise StopIteration
            return next(self._shards)
