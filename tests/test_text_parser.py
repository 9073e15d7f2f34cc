"""Our parser and schema accept what protobuf's C++ parser accepts for Caffe, and nothing else."""

import csv
import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net import schema
from prototxt_tools.net.schema import tables
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

SEED = int(os.environ.get("TEST_SEED", "20180821"))
MUTANTS = 6000
GENERATED = 6000


@pytest.fixture(scope="module")
def real(caffe):
    """The C++ parser; the fixture caffe skips or fails where there is none."""
    from real_parser import RealParser

    return RealParser()


def refusal(text):
    """Our verdict: None, "unknown" for what only forks know, else what is wrong."""
    try:
        document = Document.parse(text)
        return "unknown" if schema.strangers("NetParameter", document.root) else None
    except PrototxtError as error:
        return error.problem


def corpus(shared):
    return [path for path in sorted((shared / "prototxt").iterdir()) if path.suffix != ".tsv"]


@pytest.mark.slow
def test_the_verdict_on_every_public_file_is_that_of_the_table(shared):
    with open(str(shared / "prototxt" / "INDEX.tsv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(rows) == 512
    for row in rows:
        accepted = row["BVLC Caffe 1.0.0 text parser"].startswith("parses")
        path = shared / "prototxt" / row["file"]
        assert (refusal(path.read_bytes()) is None) == accepted, row["file"]


def test_the_verdict_on_every_public_file_is_that_of_the_real_parser(real, shared):
    for path in corpus(shared):
        ours, theirs = refusal(path.read_bytes()), real.refusal(path.read_bytes())
        assert (ours is None) == (theirs is None), (path.name, ours, theirs)


def test_files_of_forks_are_accepted_once_what_only_forks_know_is_set_aside(real, shared):
    tried = 0
    for path in corpus(shared):
        if refusal(path.read_bytes()) != "unknown":
            continue
        document = Document.load(path)
        edits = Edits(document)
        for stranger in schema.strangers("NetParameter", document.root):
            edits.remove(stranger.field)
        try:
            rest = edits.apply()
        except PrototxtError as error:
            assert "no field would be left" in str(error)  # a label map or a solver
            continue
        assert real.refusal(rest.encode()) is None, path.name
        tried += 1
    assert tried > 200


# A byte order mark is ours to judge, not the text format's.
@pytest.mark.parametrize(
    "text",
    [
        "input_dim: 1input_dim: 3",
        'name: "a"input: "b"layer{}layer{}',
        "input: [] layer [] layer: [{}, <>]",
        "input []",
        'name: ["a"]',
        "name: []",
        "force_backward: -0",
        "force_backward: 00",
        "input_dim: - # a minus may stand apart\n 0x1F",
        "input_dim: 2147483648",
        "input_dim: -2147483648",
        "layer { convolution_param { pad: -0 } }",
        "layer { loss_weight: 0x1F }",
        "layer { loss_weight: 010 }",
        "layer { loss_weight: 1.e5f }",
        "layer { loss_weight: - Infinity }",
        "layer { loss_weight: nanf }",
        "layer { loss_weight: 99999999999999999999999 }",
        "layer { phase: 4294967296 }",
        "layer { phase: 7 }",
        "layers { type: -0 }",
        'layer { name: "\\x41\\101\\u0041\\U0010FFFF" }',
        'layer { name: "\\X41" }',
        'layer { name: "\\U00200000" }',
        'layer { name: "\\u12" }',
        "layer { clip_param { min: 1 } }",
        "layer { name: 'a' \"b\"\n'c' }",
        "layer { name: 'a\\\nb' }",
        "layer < name: 'a' }",
        "a.5: 1",
        "layer { pooling_param { pool: MAX.5 } }",
        "layer { [a.b]: 1 }",
        "layer { name: '\r' };,",
        "layer {};",
        "name: 'a'\x00",
        "# a comment may not hold a \x00",
        "input_dim: 1\x0b\x0cinput_dim: 2",
    ],
)
def test_corner_cases(real, text):
    ours, theirs = refusal(text), real.refusal(text.encode("utf-8"))
    assert (ours is None) == (theirs is None), (ours, theirs)


SEEDS = [
    """name: "n" input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { lr_mult: 2 } # note
  convolution_param { num_output: 4 kernel_size: [3, 3] bias_term: false
  weight_filler < std: 0.01f >} }
layer { name: 'r' type: "ReLU" bottom: "c" top: "c"; relu_param { negative_slope: -1.5e-3 } }
layer: { name: "p" "q" type: "Pooling" bottom: "c", top: "p"
  pooling_param { pool: AVE kernel_size: 0x3 } include { phase: TEST stage: "a\\n\\x41" } }""",
    """layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1. blobs_lr: .5
  convolution_param { num_output: 017 } }
layers { layer { name: "x" type: "conv" biasterm: 1 } } state: { level: - 3 } force_backward: t""",
]
LETTERS = "{}<>[]:;,-\"'\\#\n\r\t 0123456789.eExXfFuUabNtrue_\x00\xff/"
WORDS = r"""
inf -inf nan true t True TRUE 1 0 -1 -0 01 08 0x 0x1F 1. 1.f 1f .5 .5. 1e5 1e 1e+5f 's' "a""b" MAX
AVE [] [1,2] {} <> {> 4294967296 4294967295 2147483648 -2147483648 -2147483649 9223372036854775808
1e400 99999999999999999999 infinity INF nanf inff '\u00e9' '\U0010FFFF' '\U00200000' '\x' '\8'
'\X41' '\' name:'x' CAFFE MKL2017 3 -MAX --1 +1 1_0 0.0 00 0f 0e1 a.b
""".split() + ["- 1", "- # note\n 5", "[ ]"]
FITTING = {
    "string": ["'x'", '"a"', '"\\n"'],
    "bool": ["true", "f", "1", "00", "0x1"],
    "float": ["1.", "-1e-3", "- .5f", "inf", "7", "-nan", "1f", "99999999999999999999999"],
    "int32": ["-5", "0x10", "-010", "2147483647", "-2147483648"],
    "int64": ["-9223372036854775808"],
    "uint32": ["4294967295", "017", "0"],
    "Phase": ["TRAIN", "TEST", "1"],
}
TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]\w*|[0-9.]+|\S|\s+')


def mutated(text, choose):
    """A text with one to three characters or words changed."""
    for _ in range(choose.choice([1, 1, 1, 2, 3])):
        kind = choose.randrange(6)
        if kind < 2:
            at = choose.randrange(len(text) + 1)
            text = text[:at] + (choose.choice(LETTERS) if kind else "") + text[at + 1 - kind :]
            continue
        words = TOKEN.findall(text) or [" "]
        at, other = choose.randrange(len(words)), choose.randrange(len(words))
        if kind == 2:
            words[at] = choose.choice(WORDS)
        elif kind == 3:
            words.insert(at, choose.choice(WORDS))
        elif kind == 4:
            words[at], words[other] = words[other], words[at]
        else:
            del words[at]
        text = "".join(words)
    return text


def generated(message, choose, depth=0):
    """Random fields of a message, most with values that fit."""
    pieces = []
    for _ in range(choose.randrange(1, 4)):
        name, _, written = choose.choice(tables.MESSAGES[message].split()).split(":", 2)
        kind = re.split(r"[*+!=]", written)[0]
        if kind in tables.MESSAGES and choose.random() < 0.93:
            body = generated(kind, choose, depth + 1) if depth < 4 else ""
            value = choose.choice(["{{{}}}", "{{{}}}", "<{}>"]).format(body)
        elif choose.random() < 0.15:
            value = choose.choice(WORDS)
        else:
            value = choose.choice(FITTING.get(kind, ["0", "1", "-0"]))
        if choose.random() < 0.12:
            value = "[" + value + choose.choice(["", "," + value, ","]) + "]"
        pieces.append(name + choose.choice([":", ": ", " : ", ": # note\n", " "]) + value)
        pieces.append(choose.choice([" ", "\n", ";", ",", "", " ,", ";;"]))
    return "".join(pieces)


def assert_same_verdict(real, text):
    ours = refusal(text)
    theirs = real.refusal(text.encode("utf-8", "surrogateescape"))
    assert (ours is None) == (theirs is None), (text, ours, theirs)
    return ours is None


def test_mutated_nets_get_the_verdict_of_the_real_parser(real):
    choose = random.Random(SEED)
    verdicts = [
        assert_same_verdict(real, mutated(choose.choice(SEEDS), choose)) for _ in range(MUTANTS)
    ]
    assert 200 < sum(verdicts) < MUTANTS - 200


def test_generated_nets_get_the_verdict_of_the_real_parser(real):
    choose = random.Random(SEED)
    texts = [generated("NetParameter", choose) for _ in range(GENERATED)]
    verdicts = [assert_same_verdict(real, text) for text in texts]
    assert 200 < sum(verdicts) < GENERATED - 200


@settings(deadline=None, max_examples=500)
@given(st.text(alphabet="".join(sorted(set(LETTERS + "nametop:MAX"))), max_size=40), st.data())
def test_any_text_in_a_layer_gets_the_verdict_of_the_real_parser(real, text, data):
    field = data.draw(st.sampled_from(["name", "loss_weight", "phase", "blobs { num", "top"]))
    whole = "layer { %s:%s %s}" % (field, text, "}" if "{" in field else "")
    assert_same_verdict(real, whole)
