"""The graph beside the table of layers: which lane each row has, and which lines lead to it."""

import time

import definitions
import pytest

from caffe_gradcam.serve.lanes import MOST_LANES, arrange, reads_of
from prototxt_tools.net.net import Net


def arranged(text):
    return arrange(reads_of(Net.parse(text).at("TEST").layers))


def lane_count(crossings):
    return 1 + max(crossing.lane for crossing in crossings)


def traced(crossings):
    """The rows that each row reads from, as an eye that follows the lines finds them."""
    above, reads = {}, []
    for row, crossing in enumerate(crossings):
        here, writers = {}, set()
        for origin, lane in crossing.lines:
            if lane == crossing.lane:
                writers.add(above[origin])
            else:
                here[lane] = above[origin]
        here[crossing.lane] = row
        above = here
        reads.append(writers)
    return reads


def test_a_chain_is_one_lane():
    crossings = arrange([(), (0,), (1,)])
    assert [crossing.lane for crossing in crossings] == [0, 0, 0]
    assert [crossing.lines for crossing in crossings] == [(), ((0, 0),), ((0, 0),)]


def test_a_diamond_needs_two_lanes():
    crossings = arrange([(), (0,), (0,), (1, 2)])
    assert [crossing.lane for crossing in crossings] == [0, 1, 0, 0]
    assert crossings[1].lines == ((0, 0), (0, 1))
    assert crossings[3].lines == ((0, 0), (1, 0))


def test_a_shortcut_is_one_lane_more():
    assert lane_count(arrange([(), (0,), (1,), (2,), (0, 3)])) == 2


def test_two_streams_lie_side_by_side():
    crossings = arrange([(), (), (0,), (1,), (2, 3)])
    assert [crossing.lane for crossing in crossings] == [0, 1, 0, 1, 0]


def test_a_lane_is_free_again_after_the_last_reader():
    assert lane_count(arrange([(), (0,), (0,), (1, 2), (3,), (3,), (4, 5)])) == 2


def test_a_blob_that_nothing_reads_ends_at_its_row():
    assert arrange([(), (), (0,)])[2].lines == ((0, 0),)


@pytest.mark.parametrize("text, most", [
    (definitions.vgg(16), 1), (definitions.resnet(50), 2), (definitions.googlenet(), 4)])
def test_nets_of_the_field_need_few_lanes(text, most):
    assert lane_count(arranged(text)) == most


def test_in_place_layers_are_read_in_order():
    net = Net.parse("""
        input: "data"
        layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" }
        layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
        layer { name: "slice" type: "Slice" bottom: "conv" top: "a" top: "b" }
        layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" bottom: "b" top: "sum" }
    """)
    assert reads_of(net.layers) == [(), (0,), (1,), (1,), (2, 3)]


def test_every_edge_of_any_graph_can_be_followed():
    pytest.importorskip("hypothesis", reason="hypothesis is not installed here")
    from hypothesis import given
    from hypothesis import strategies as st

    graphs = st.integers(1, MOST_LANES - 1).flatmap(lambda count: st.tuples(*(
        st.sets(st.integers(0, row - 1), max_size=3) if row else st.just(set())
        for row in range(count))))

    @given(graphs)
    def follow(reads):
        assert traced(arrange([sorted(writers) for writers in reads])) == list(reads)

    follow()


def test_more_lines_than_lanes_share_the_last_lane():
    count = 3 * MOST_LANES
    crossings = arrange([()] * count + [range(count)])
    assert lane_count(crossings) == MOST_LANES
    assert [origin for origin, _ in crossings[-1].lines] == list(range(MOST_LANES))


def test_a_deep_net_takes_no_long_time():
    deep = [(), (0,)] + [(row - 2, row - 1) for row in range(2, 10000)]
    wide = [()] * 5000 + [range(5000)] * 10
    start = time.process_time()
    arrange(deep), arrange(wide)
    assert time.process_time() - start < 5
