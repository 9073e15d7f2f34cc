"""Score blobs and target blobs."""

import csv
import hashlib
import json

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.net.streams import stream_targets
from prototxt_tools.text.document import Document


def graph_and_shapes(text):
    net = Net.parse(text).at("TEST")
    return Graph(net), shapes.infer(net)


@pytest.mark.parametrize(
    "text, score, target",
    [
        (definitions.caffenet(), "fc8", "conv5"),
        (definitions.googlenet(), "loss3/classifier", "inception_5b/output"),
        (definitions.vgg(16), "fc8", "conv5_3"),
        (definitions.vgg(19), "fc8", "conv5_4"),
        (definitions.resnet(18), "fc1000", "res5b"),
        (definitions.resnet(50), "fc1000", "res5c"),
        (definitions.densenet(), "fc", "conv3_blk/bn"),
        (definitions.lenet(), "ip2", "conv2"),
        (definitions.nin(), "pool4", "cccp7"),
    ],
    ids=lambda value: value if len(value) < 30 else value.split('"')[1],
)
def test_score_and_target_of_well_known_nets(text, score, target):
    graph, sizes = graph_and_shapes(text)
    assert graph.scores()[0].blob == score
    assert graph.scores()[0].link == "softmax"
    assert graph.targets(score, sizes)[0].blob == target


def test_a_convolution_per_class_belongs_to_the_score():
    graph, sizes = graph_and_shapes(definitions.nin())
    assert graph.targets("pool4", sizes)[0].reason == "cccp8 makes one channel per class of it"


CONV = ('layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s" '
        "convolution_param { num_output: 8 kernel_size: 3 } }")
FC = ('layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s" '
      "inner_product_param { num_output: 5 } }")
INPUT = 'input: "%s" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }'


def test_every_stream_of_a_net_with_several_inputs_has_a_target():
    text = INPUT % "a" + INPUT % "b" + CONV % ("ca", "a", "ca") + CONV % ("cb", "b", "cb")
    text += FC % ("fa", "ca", "fa") + FC % ("fb", "cb", "fb")
    text += 'layer { name: "cat" type: "Concat" bottom: "fa" bottom: "fb" top: "cat" }'
    graph, sizes = graph_and_shapes(text + FC % ("score", "cat", "score"))
    assert [score.blob for score in graph.scores()] == ["score"]
    assert sorted(target.blob for target in graph.targets("score", sizes)) == ["ca", "cb"]


def test_softmax_heads_go_before_regression_and_later_ones_before_earlier():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += FC % ("early", "c", "early") + FC % ("late", "c", "late") + FC % ("box", "c", "box")
    for head in ("early", "late"):
        text += f'layer {{ name: "p{head}" type: "Softmax" bottom: "{head}" top: "p{head}" }}'
    assert [s.blob for s in graph_and_shapes(text)[0].scores()] == ["late", "early", "box"]


def test_a_softmax_in_mid_net_marks_no_score():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += 'layer { name: "attend" type: "Softmax" bottom: "c" top: "attend" }'
    graph, _ = graph_and_shapes(text + FC % ("fc", "attend", "fc"))
    assert [(score.blob, score.link) for score in graph.scores()] == [("fc", "none")]


@pytest.mark.parametrize("mover", ["Flatten", "Permute", "Slice", "Concat"])
def test_a_softmax_whose_probabilities_are_only_moved_marks_the_score(mover):
    text = INPUT % "data" + CONV % ("c", "data", "c") + FC % ("fc", "c", "fc") + softmax("fc")
    text += f'layer {{ name: "end" type: "{mover}" bottom: "p_fc" top: "end" }}'
    graph, _ = graph_and_shapes(text)
    assert [(score.blob, score.link) for score in graph.scores()] == [("fc", "softmax")]


def test_probabilities_that_are_moved_and_then_computed_with_mark_no_score():
    text = INPUT % "data" + CONV % ("c", "data", "c") + softmax("c")
    text += 'layer { name: "flat" type: "Flatten" bottom: "p_c" top: "flat" }'
    graph, _ = graph_and_shapes(text + FC % ("fc", "flat", "fc"))
    assert [(score.blob, score.link) for score in graph.scores()] == [("fc", "none")]


def test_in_place_layers_write_and_read_their_blob():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += 'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }' + FC % ("fc", "c", "fc")
    graph, _ = graph_and_shapes(text)
    assert graph.writers("c") == [0, 1]
    assert graph.readers("c") == [1, 2]
    assert graph.final_readers("c") == [2]
    assert graph.maker("c").name == "c"


def test_ancestors_leave_out_other_heads():
    text = INPUT % "data" + CONV % ("c", "data", "c") + FC % ("a", "c", "a") + FC % ("b", "c", "b")
    assert graph_and_shapes(text)[0].ancestors(["b"]) == {0, 2}


def test_a_net_without_spatial_blobs_has_no_target():
    graph, sizes = graph_and_shapes(INPUT % "data" + FC % ("a", "data", "a") + FC % ("b", "a", "b"))
    assert graph.targets("b", sizes) == []

TEN = "abcdefghij"


def softmax(blob):
    return f'layer {{ name: "p_{blob}" type: "Softmax" bottom: "{blob}" top: "p_{blob}" }}'


def test_the_auxiliary_heads_of_a_training_net_come_behind_the_main_one():
    text = INPUT % "data" + CONV % ("c", "data", "c") + CONV % ("d", "c", "d")
    loss = 'layer {{ type: "SoftmaxWithLoss" bottom: "{0}" bottom: "label" top: "l{0}" }}'
    text += FC % ("aux", "c", "aux") + loss.format("aux")
    text += FC % ("main", "d", "main") + loss.format("main")
    graph, sizes = graph_and_shapes(text)
    assert [(score.blob, score.link) for score in graph.scores()] == [
        ("main", "softmax"), ("aux", "softmax")]
    assert [target.blob for target in graph.targets("main", sizes)] == ["d"]
    assert [target.blob for target in graph.targets("aux", sizes)] == ["c"]


def test_age_and_gender_are_two_scores_on_one_target():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    for head in ("age", "gender"):
        text += FC % (head, "c", head) + softmax(head)
    graph, sizes = graph_and_shapes(text)
    assert {score.blob for score in graph.scores()} == {"age", "gender"}
    assert {graph.targets(score.blob, sizes)[0].blob for score in graph.scores()} == {"c"}


def test_a_multi_label_net_has_one_score_with_a_sigmoid():
    text = INPUT % "data" + CONV % ("c", "data", "c") + FC % ("tags", "c", "tags")
    text += 'layer { name: "p" type: "Sigmoid" bottom: "tags" top: "p" }'
    graph, _ = graph_and_shapes(text)
    assert [(score.blob, score.link) for score in graph.scores()] == [("tags", "sigmoid")]


def siamese():
    text = 'input: "pair" input_shape { dim: 1 dim: 6 dim: 9 dim: 9 }'
    text += ('layer { name: "cut" type: "Slice" bottom: "pair" top: "a" top: "b" '
             "slice_param { slice_point: 3 } }")
    for side in "ab":
        text += CONV % ("c" + side, side, "c" + side) + FC % ("f" + side, "c" + side, "f" + side)
    return text + ('layer { name: "loss" type: "ContrastiveLoss" bottom: "fa" bottom: "fb" '
                   'bottom: "same" top: "loss" }')


def test_a_siamese_net_has_a_target_on_each_side():
    graph, sizes = graph_and_shapes(siamese())
    assert sorted(target.blob for target in graph.targets("loss", sizes)) == ["ca", "cb"]
    assert graph.streams() == [None, "a", "a", "b", "b", None]


def test_ten_streams_have_ten_targets():
    text = "".join(INPUT % name + CONV % ("c" + name, name, "c" + name) for name in TEN)
    text += "".join(FC % ("f" + name, "c" + name, "f" + name) for name in TEN)
    reads = " ".join(f'bottom: "f{name}"' for name in TEN)
    text += f'layer {{ name: "cat" type: "Concat" {reads} top: "cat" }}'
    graph, sizes = graph_and_shapes(text + FC % ("score", "cat", "score"))
    assert sorted(target.blob for target in graph.targets("score", sizes)) == [
        "c" + name for name in TEN]
    assert graph.streams() == list(TEN) * 2 + [None, None]


def test_streams_that_are_added_have_one_target_the_sum():
    text = "".join(INPUT % name + CONV % ("c" + name, name, "c" + name) for name in TEN)
    reads = " ".join(f'bottom: "c{name}"' for name in TEN)
    text += f'layer {{ name: "sum" type: "Eltwise" {reads} top: "sum" }}'
    graph, sizes = graph_and_shapes(text + FC % ("score", "sum", "score"))
    assert [target.blob for target in graph.targets("score", sizes)] == ["sum"]


def test_only_the_values_of_a_crop_lead_to_a_target_not_what_it_is_cropped_to():
    text = INPUT % "data" + CONV % ("big", "data", "big") + CONV % ("like", "big", "like")
    text += 'layer { name: "crop" type: "Crop" bottom: "big" bottom: "like" top: "crop" }'
    graph, sizes = graph_and_shapes(text + FC % ("score", "crop", "score"))
    assert [target.blob for target in graph.targets("score", sizes)] == ["big"]


def test_a_region_of_interest_is_explained_at_the_map_it_is_cut_from():
    text = INPUT % "data" + 'input: "rois" input_shape { dim: 2 dim: 5 }'
    text += CONV % ("c", "data", "c")
    text += ('layer { name: "roi" type: "ROIPooling" bottom: "c" bottom: "rois" top: "roi" '
             "roi_pooling_param { pooled_h: 2 pooled_w: 2 } }")
    graph, sizes = graph_and_shapes(text + FC % ("score", "roi", "score"))
    assert [target.blob for target in graph.targets("score", sizes)] == ["c"]


def test_layers_that_change_a_blob_in_place_with_another_one_lead_to_both():
    text = INPUT % "data" + CONV % ("a", "data", "a") + CONV % ("b", "data", "b")
    text += FC % ("x", "a", "x") + FC % ("y", "b", "y")
    text += 'layer { name: "sum" type: "Eltwise" bottom: "x" bottom: "y" top: "x" }'
    graph, sizes = graph_and_shapes(text)
    assert {target.blob for target in graph.targets("x", sizes)} == {"a", "b"}


def test_a_silenced_label_is_no_score():
    text = ('layer { name: "in" type: "DummyData" top: "d" top: "label" '
            "dummy_data_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }")
    text += FC % ("fc", "d", "fc") + softmax("fc")
    text += 'layer { name: "quiet" type: "Silence" bottom: "label" }'
    assert [score.blob for score in graph_and_shapes(text)[0].scores()] == ["fc"]


def test_candidates_name_the_branches_of_an_inception_module():
    graph, sizes = graph_and_shapes(definitions.googlenet())
    found = {candidate.blob: candidate for candidate in graph.candidates(sizes)}
    branch = found["inception_5b/3x3"]
    assert branch.shape == (1, 384, 7, 7)
    assert branch.reason == "Convolution makes it, a branch of Concat inception_5b/output"
    branches = [blob for blob in found if "inception_5b/output" in found[blob].reason]
    assert branches == ["inception_5b/1x1", "inception_5b/3x3", "inception_5b/5x5",
                        "inception_5b/pool_proj"]
    assert "data" not in found and "loss3/classifier" not in found


def test_a_net_with_one_input_has_no_streams():
    graph, _ = graph_and_shapes(definitions.lenet())
    assert set(graph.streams()) == {None}


def test_scores_and_targets_of_public_models_are_those_found_by_hand(shared):
    facts = json.loads((shared.parent / "zoo_facts.json").read_text(encoding="utf-8"))
    wanted = {}
    for fact in facts:
        if fact["gradcam_target_blob"]:
            wanted[fact["prototxt_sha256"]] = (fact["score_blob"], fact["gradcam_target_blob"])
    paths = list((shared / "prototxt").iterdir()) + list((shared / "models").glob("*/*.prototxt"))
    tried = set()
    for path in paths:
        data = path.read_bytes()
        key = hashlib.sha256(data).hexdigest()
        if key in wanted:
            graph, sizes = graph_and_shapes(data.decode("utf-8"))
            score = graph.scores()[0].blob
            assert (score, graph.targets(score, sizes)[0].blob) == wanted[key], path.name
            tried.add(key)
    assert len(tried) >= 20


def test_every_public_classifier_has_a_score_and_a_target(shared):
    with open(str(shared / "prototxt" / "INDEX.tsv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    tried = 0
    for row in rows:
        if row["kind"] == "deploy" and row["softmax position"] == "trailing(last layer)" and (
            row["BVLC Caffe 1.0.0 text parser"] == "parses"
        ):
            net = Net.load(shared / "prototxt" / row["file"]).at("TEST")
            sizes = shapes.infer(net, problems=[])
            score = Graph(net).scores()[0]
            assert score.link == "softmax", row["file"]
            if len(sizes.get("data", ())) == 4 and sizes.get(score.blob):
                assert Graph(net).targets(score.blob, sizes), row["file"]
                tried += 1
    assert tried >= 40


PAIR = """
input: "left" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
input: "right" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "l1" type: "Convolution" bottom: "left" top: "l1"
        convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "lp" type: "Pooling" bottom: "l1" top: "lp"
        pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "r1" type: "Convolution" bottom: "right" top: "r1"
        convolution_param { num_output: 2 kernel_size: 2 stride: 2 } }
layer { name: "both" type: "Concat" bottom: "lp" bottom: "r1" top: "both" }
layer { name: "fc" type: "InnerProduct" bottom: "both" top: "fc"
        inner_product_param { num_output: 2 } }
"""


def test_streams_that_meet_in_a_blob_with_places_have_a_target_each():
    net = Net.parse(Document.parse(PAIR))
    found = stream_targets(Graph(net), "fc", shapes.infer(net))
    assert {begin: target.blob for begin, target in found.items()} == {"left": "l1", "right": "r1"}


def test_a_net_with_one_input_has_no_targets_of_streams():
    net = Net.parse(Document.parse(
        'input: "a" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }'
        'layer { name: "n" type: "ReLU" bottom: "a" top: "b" }'))
    assert stream_targets(Graph(net), "b", shapes.infer(net)) == {}


UNKNOWN = """
input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
layer { name: "stem" type: "Convolution" bottom: "data" top: "stem"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "gate" type: "Sigmoid" bottom: "stem" top: "gate" }
layer { name: "mul" type: "GatedMul" bottom: "stem" bottom: "gate" top: "mul" }
layer { name: "conv" type: "Convolution" bottom: "mul" top: "conv"
        convolution_param { num_output: 16 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 10 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def test_a_target_before_unknown_shapes_is_not_called_the_last():
    graph, sizes = graph_and_shapes(UNKNOWN)
    target = graph.targets("fc", sizes)[0]
    assert target.unknown_from.name == "mul"
    assert target.reason == ("the last blob of known shape with spatial extent before fc; shapes "
                             "are unknown from layer mul (GatedMul) on")


def test_with_the_shapes_of_an_engine_the_last_blob_is_the_last():
    graph, sizes = graph_and_shapes(UNKNOWN)
    sizes.update(mul=(1, 8, 32, 32), conv=(1, 16, 30, 30), fc=(1, 10), prob=(1, 10))
    target = graph.targets("fc", sizes)[0]
    assert (target.blob, target.unknown_from) == ("conv", None)
    assert target.reason == "the last blob with spatial extent before fc"


def test_unknown_shapes_on_another_branch_leave_the_target_the_last():
    text = UNKNOWN.replace('bottom: "mul" top: "conv"', 'bottom: "gate" top: "conv"')
    graph, sizes = graph_and_shapes(text)
    target = graph.targets("fc", sizes)[0]
    assert (target.blob, target.unknown_from) == ("conv", None)


def test_a_stream_whose_shapes_end_says_so():
    sides = "".join(
        f'''
        input: "{side}" input_shape {{ dim: 1 dim: 3 dim: 8 dim: 8 }}
        layer {{ name: "conv_{side}" type: "Convolution" bottom: "{side}" top: "conv_{side}"
                convolution_param {{ num_output: 4 kernel_size: 3 }} }}
        layer {{ name: "end_{side}" type: "{kind}" bottom: "conv_{side}" top: "end_{side}" }}'''
        for side, kind in (("left", "Warp"), ("right", "Flatten")))
    graph, sizes = graph_and_shapes(sides + '''
        layer { name: "both" type: "Concat" bottom: "end_left" bottom: "end_right" top: "both" }
        layer { name: "fc" type: "InnerProduct" bottom: "both" top: "fc"
                inner_product_param { num_output: 2 } }''')
    targets = stream_targets(graph, "fc", sizes)
    assert targets["left"].unknown_from.type == "Warp"
    assert "unknown from layer end_left (Warp) on" in targets["left"].reason
    assert targets["right"].reason == (
        "the last blob with spatial extent of the stream of right")
