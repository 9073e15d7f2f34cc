"""How many nets, threads and decoders a run has, and that a later run keeps to it."""

import os

import pytest
from tables import explain, pictures, plan_of, table

from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.pipeline import sizes
from caffe_gradcam.processes.child import Child
from prototxt_tools.errors import InputError

CPU, PLENTY = ("cpu",), 100000


@pytest.fixture
def machine(monkeypatch):
    """A function that pretends a number of cores and GiB of memory."""

    def pretend(cores, gibibytes=64):
        monkeypatch.setattr(sizes, "cores", lambda: cores)
        monkeypatch.setattr(sizes, "_memory", lambda: gibibytes << 30)

    return pretend


def test_each_core_has_a_net_with_one_thread_and_a_decoder(machine):
    machine(cores=2)
    pipeline = sizes.chosen(Pipeline(devices=CPU), sizes.default_threads(CPU, 1 << 20), PLENTY)
    assert (pipeline.devices, pipeline.threads, pipeline.decoders) == (("cpu", "cpu"), 1, 2)
    assert sizes.sentence(pipeline) == (
        "running 2 nets on cpu with 1 thread each and 2 decoders")


def test_the_actors_of_a_ray_cluster_have_decoders_of_their_own(machine):
    machine(cores=64)
    pipeline = sizes.chosen(Pipeline(devices=("cuda",), runner="ray"), 4, PLENTY)
    assert pipeline.decoders is None
    assert sizes.sentence(pipeline) == "running nets with 4 threads each on Ray"


def test_nets_for_which_the_memory_has_no_room_leave_their_cores_to_the_others(machine):
    machine(cores=8, gibibytes=16)
    threads = sizes.default_threads(CPU, 550 << 20)  # VGG-16
    pipeline = sizes.chosen(Pipeline(devices=CPU), threads, PLENTY)
    assert (len(pipeline.devices), threads) == (4, 2)


def test_a_short_run_starts_no_more_nets_than_it_has_batches(machine):
    machine(cores=16)
    pipeline = Pipeline(devices=CPU)
    assert len(sizes.chosen(pipeline, 1, 2 * pipeline.batch + 1).devices) == 3


def test_a_short_run_starts_no_more_decoders_than_it_has_images(machine):
    machine(cores=16)
    assert sizes.chosen(Pipeline(devices=CPU), 1, 3).decoders == 3
    assert sizes.chosen(Pipeline(devices=CPU, decoders=5), 1, 3).decoders == 5


def test_named_devices_are_taken_as_they_are_and_share_the_cores(machine):
    machine(cores=8)
    named = ("cpu", "cpu")
    assert sizes.default_threads(named, 1 << 20) == 4
    assert sizes.chosen(Pipeline(devices=named), 4, PLENTY).devices == named


def test_beside_gpus_all_cores_decode(machine):
    machine(cores=16)
    cards = ("cuda:0", "cuda:1")
    pipeline = sizes.chosen(Pipeline(devices=cards), sizes.default_threads(cards, 0), PLENTY)
    assert (pipeline.devices, pipeline.threads, pipeline.decoders) == (cards, 4, 16)


def test_threads_that_are_asked_for_decide_how_many_nets_there_are(model, tmp_path, machine):
    machine(cores=4)
    source = pictures(tmp_path / "in", 12)
    explain(model, source, tmp_path / "out", threads=2)
    run, = plan_of(tmp_path / "out").manifest["runs"]
    assert (run["devices"], run["threads"], run["decoders"]) == (["cpu", "cpu"], 2, 1)


def test_a_run_on_another_machine_keeps_the_threads_of_the_first(model, tmp_path, machine):
    source = pictures(tmp_path / "in", 12)
    machine(cores=4, gibibytes=2)
    explain(model, source, tmp_path / "out", threads=None)
    first = plan_of(tmp_path / "out").manifest["rows_depend_on"]["threads"]
    reference = table(tmp_path / "out")
    for path in sorted((tmp_path / "out" / "parts").iterdir())[:1]:
        path.unlink()
    machine(cores=2)
    explain(model, source, tmp_path / "out", threads=None)
    assert [run["threads"] for run in plan_of(tmp_path / "out").manifest["runs"]] == [first] * 2
    assert first == 2 and table(tmp_path / "out") == reference


def test_other_threads_than_those_of_the_rows_are_refused(model, tmp_path):
    source = pictures(tmp_path / "in", 4)
    explain(model, source, tmp_path / "out", threads=2)
    with pytest.raises(InputError, match="was started with threads 2, not 1"):
        explain(model, source, tmp_path / "out", threads=1)


def test_nets_get_their_threads_from_the_run_whatever_the_user_has_set(model, tmp_path,
                                                                       monkeypatch):
    started = []
    start = Child.__init__

    def remember(self, function, *arguments, **options):
        started.append((function.split(":")[0].rsplit(".", 1)[1], options["environment"]))
        start(self, function, *arguments, **options)

    monkeypatch.setattr(Child, "__init__", remember)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setitem(os.environ, name, "7")
    explain(model, pictures(tmp_path / "in", 4), tmp_path / "out", threads=2)
    threads = {name: {environment[variable] for variable in
                      ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
               for name, environment in started}
    assert threads == {"net_process": {"2"}, "decoder": {"1"}}
