"""Memory and order of the stream of images through a run."""

import threading

import numpy as np
import pytest
from processes import start
from tables import column, picture, pictures, recipe

from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.processes.memory import SharedMemory


def test_memory_does_not_grow_with_the_number_of_images(model, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png 1\n" * 1500)
    process = start(model, tmp_path / "list.txt", "-o", tmp_path / "out", "--log-json")
    parts, over, samples = tmp_path / "out" / "parts", threading.Event(), []

    def sample():
        while not over.wait(0.02):
            done = len(list(parts.iterdir())) if parts.exists() else 0
            samples.append((done, resident(process.pid)))

    thread = threading.Thread(target=sample)
    thread.start()
    process.communicate(timeout=300)
    over.set()
    thread.join()
    first = [size for done, size in samples if 10 <= done < 50]
    last = [size for done, size in samples if 220 <= done < 249]
    assert np.median(last) < 1.05 * np.median(first)


def resident(pid):
    """KiB of a process's memory."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)
    except OSError:
        return 0


def lane_of(model, decoders=1):
    chosen = resolved(recipe(model))
    return Lane(chosen, chosen.model.load(), Pipeline(batch=4, decoders=decoders))


def test_results_come_in_the_order_of_the_items_whoever_is_faster(model, tmp_path):
    pictures(tmp_path / "in", 30)
    picture(tmp_path / "in" / "0000.png", size=(3000, 3000))  # takes the longest to decode
    items = [Item.of(str(path), id=path.name) for path in sorted((tmp_path / "in").iterdir())]
    with lane_of(model, decoders=3) as lane:
        batches = [(first, ItemBlock(given=items[first:first + 4])) for first in range(0, 30, 4)]
        results = list(lane.results(batches))
    assert [tag for tag, _ in results] == list(range(0, 30, 4))
    assert [item.id for _, block in results for item in block.items.items()] == [
        item.id for item in items]


def test_no_more_batches_are_taken_than_the_memory_holds(model, tmp_path):
    pictures(tmp_path / "in", 12)
    items = [Item.of(str(path), id=path.name) for path in sorted((tmp_path / "in").iterdir())]
    taken = []

    def batches():
        for first in range(0, 120, 4):
            taken.append(first)
            yield first, ItemBlock(given=items[first % 12:first % 12 + 4])

    with lane_of(model) as lane:
        for index, _ in enumerate(lane.results(batches())):
            # Six in flight, and one that comes in when the first is out.
            assert len(taken) <= index + 7
    assert len(taken) == 30


@pytest.mark.parametrize("shapes", [[(2, 3)], [(40, 50), (3, 32, 32)], [(200, 200), (5, 1000)]])
def test_arrays_come_out_of_the_shared_memory_as_they_went_in(shapes):
    rng = np.random.RandomState(0)
    value = {"arrays": [rng.rand(*shape).astype(np.float32) for shape in shapes], "other": (1, "a")}
    memory = SharedMemory(3, 100000)
    data = memory.dump(value, 1)
    memory.dump([np.zeros(20000, np.float32)], 0)
    memory.dump([np.zeros(20000, np.float32)], 2)
    again = SharedMemory(3, 100000, memory.descriptor).load(data, 1)
    assert again["other"] == (1, "a")
    for array, other in zip(value["arrays"], again["arrays"]):
        np.testing.assert_array_equal(array, other)
    memory.close()


def test_the_same_table_comes_of_any_number_of_devices_and_decoders(model, tmp_path):
    from tables import explain, table

    source = pictures(tmp_path / "in", 30)
    explain(model, source, tmp_path / "one")
    explain(model, source, tmp_path / "two", devices=("cpu", "cpu"), decoders=2)
    assert table(tmp_path / "two") == table(tmp_path / "one")
    assert column(tmp_path / "two", "item") == list(range(30))
