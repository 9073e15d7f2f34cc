"""Memory and order of the stream of images through a run."""

import threading

import numpy as np
import pytest
from processes import start
from tables import column, picture, pictures

from caffe_gradcam.batch.arena import Arena
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.spec import make


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


def test_outcomes_come_in_the_order_of_the_items_whoever_is_faster(model, tmp_path):
    pictures(tmp_path / "in", 30)
    picture(tmp_path / "in" / "0000.png", size=(3000, 3000))  # takes the longest to decode
    items = [Item.of(str(path), id=path.name) for path in sorted((tmp_path / "in").iterdir())]
    with Lane(make(model, engine="torch"), workers=3, batch=4) as lane:
        batches = [(first, items[first:first + 4]) for first in range(0, 30, 4)]
        found = list(lane.outcomes(batches))
    assert [tag for tag, _ in found] == list(range(0, 30, 4))
    assert [one.item.id for _, group in found for one in group] == [one.id for one in items]


def test_no_more_batches_are_taken_than_the_memory_holds(model, tmp_path):
    pictures(tmp_path / "in", 12)
    items = [Item.of(str(path), id=path.name) for path in sorted((tmp_path / "in").iterdir())]
    taken = []

    def batches():
        for first in range(0, 120, 4):
            taken.append(first)
            yield first, items[first % 12:first % 12 + 4]

    with Lane(make(model, engine="torch"), batch=4) as lane:
        for index, _ in enumerate(lane.outcomes(batches())):
            # Six in flight, and one that comes in when the first is out.
            assert len(taken) <= index + 7
    assert len(taken) == 30


@pytest.mark.parametrize("shapes", [[(2, 3)], [(40, 50), (3, 32, 32)], [(200, 200), (5, 1000)]])
def test_arrays_come_out_of_the_arena_as_they_went_in(shapes):
    rng = np.random.RandomState(0)
    value = {"arrays": [rng.rand(*shape).astype(np.float32) for shape in shapes], "other": (1, "a")}
    arena = Arena(3, 100000)
    data = arena.dump(value, 1)
    arena.dump([np.zeros(20000, np.float32)], 0)
    arena.dump([np.zeros(20000, np.float32)], 2)
    again = Arena(3, 100000, arena.descriptor).load(data, 1)
    assert again["other"] == (1, "a")
    for own, other in zip(value["arrays"], again["arrays"]):
        np.testing.assert_array_equal(own, other)
    arena.close()


def test_the_same_table_comes_of_any_number_of_devices_and_decoders(model, tmp_path):
    from tables import explain, table

    source = pictures(tmp_path / "in", 30)
    explain(model, source, tmp_path / "one")
    explain(model, source, tmp_path / "two", devices=["cpu", "cpu"], workers=2)
    assert table(tmp_path / "two") == table(tmp_path / "one")
    assert column(tmp_path / "two", "item") == list(range(30))
