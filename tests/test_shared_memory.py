"""Arrays that go from process to process."""

import os

import numpy as np
import pytest

from caffe_gradcam.processes.memory import SharedMemory


@pytest.fixture
def ends():
    """A memory that grows, as two processes see it."""
    ours = SharedMemory()
    theirs = SharedMemory(descriptor=os.dup(ours.descriptor))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_message_is_what_it_was_on_the_other_side_however_large(ends):
    ours, theirs = ends
    large = np.arange(60000, dtype=np.float64).reshape(3, 100, 200)
    message = ("forward", {"a": large[:, ::2], "b": [large.T, 5]},
               large[:1].astype(np.int64), ["x"])
    for factor in (1, 3):
        arrays = theirs.load(ours.dump(message))
        assert arrays[0] == "forward" and arrays[3] == ["x"] and arrays[1]["b"][1] == 5
        assert np.array_equal(arrays[1]["a"], large[:, ::2])
        assert np.array_equal(arrays[1]["b"][0], large.T)
        assert np.array_equal(arrays[2], large[:1]) and arrays[2].dtype == np.int64
        back = ours.load(theirs.dump(np.concatenate([large] * factor)))
        assert np.array_equal(back[-3:], large) and len(back) == 3 * factor


def test_large_arrays_are_not_in_the_message_itself(ends):
    assert len(ends[0].dump(np.zeros(1 << 20))) < 1000


def test_copies_stay_as_they_are_and_views_last_until_the_next_message(ends):
    ours, theirs = ends
    data = ours.dump(np.ones(2000))
    view, copy = theirs.load(data), theirs.load(data, copy=True)
    ours.dump(np.zeros(2000))
    assert not view.any() and copy.all()


@pytest.mark.parametrize("value", [
    np.zeros((0, 3)), np.array(["a", None] * 5000), np.zeros(5000, [("x", "f4"), ("y", "i8")]),
    np.asfortranarray(np.arange(6000.).reshape(60, 100)), np.ones(5000, ">f4"), np.float32(3)],
    ids=["empty", "objects", "records", "by columns", "big-endian", "scalar"])
def test_arrays_of_every_kind(ends, value):
    again = ends[1].load(ends[0].dump(value))
    assert again.dtype == value.dtype and np.array_equal(again, value)


def test_slots_do_not_touch_one_another():
    memory = SharedMemory(3, 100000)
    data = memory.dump([np.ones(10000)], 1)
    for slot in (0, 2):
        memory.dump([np.zeros(12500)], slot)
    again = SharedMemory(3, 100000, memory.descriptor).load(data, 1)
    assert again[0].all()
    memory.close()


def test_what_a_slot_has_no_room_for_goes_with_the_message():
    memory = SharedMemory(2, 5000)
    arrays = [np.full(1000, index, np.float32) for index in range(4)]
    again = memory.load(memory.dump(arrays, 0), 0)
    assert [array[0] for array in again] == [0, 1, 2, 3]
    memory.close()
