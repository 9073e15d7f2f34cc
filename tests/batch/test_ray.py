"""Batches on a Ray cluster of two nodes on this machine, with a pretended GPU each."""

import os
import threading

import pytest
from processes import family, wait_for
from tables import column, explain, pictures, plan_of, table

ray = pytest.importorskip("ray", reason="Ray is not installed here")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cluster():
    """A head without cores, and two nodes with room for one net each, on a GPU."""
    import faulty
    from ray.cluster_utils import Cluster

    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(here), os.path.dirname(os.path.dirname(here))]
    made = Cluster(initialize_head=True, head_node_args={
        "num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20})
    nodes = [made.add_node(num_cpus=2, num_gpus=1, object_store_memory=100 << 20)
             for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False, logging_level="error", runtime_env={
        "env_vars": {"PYTHONPATH": os.pathsep.join(paths), "FAULTY_PAUSE": "0.3"},
        "worker_process_setup_hook": faulty.install})
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def engines_of(output):
    run, = plan_of(output).manifest["runs"]
    return [engine["device"] for engine in run["engines"]]


def test_a_node_that_is_killed_in_the_middle_takes_no_row_with_it(model, tmp_path, cluster):
    source = pictures(tmp_path / "in", 60)
    (source / "0007.png").write_bytes(b"")
    explain(model, source, tmp_path / "reference")
    made, (first, _) = cluster
    summaries = []
    thread = threading.Thread(target=lambda: summaries.append(
        explain(model, source, tmp_path / "out", runner="ray", devices=("cuda",))))
    thread.start()
    wait_for(lambda: (tmp_path / "out" / "manifest.json").exists()
             and len(plan_of(tmp_path / "out").done()) >= 2, 300)
    # Both nodes are at work; one goes, with the raylet the net and its decoders.
    raylets = [one.process.pid for group in first.all_processes.values() for one in group]
    members = [pid for one in raylets for pid in family(one)]
    assert len(members) > 3
    made.remove_node(first, allow_graceful=False)
    thread.join(300)
    summary, = summaries
    # Each actor sees the one card that Ray gives it.
    assert set(engines_of(tmp_path / "out")) == {"cuda:0"}
    assert summary.complete and summary.held["ok"] == 59
    assert table(tmp_path / "out") == table(tmp_path / "reference")
    assert column(tmp_path / "out", "item") == list(range(60))
