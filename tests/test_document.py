"""The lossless text format."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import MAX_DEPTH, MAX_FIELDS, Document

ODD = [
    "name: 'single' # comment with { and 'quote\r\nlayer{name:\"a\"type:\"ReLU\"}layer\t{\r\n}",
    'layer < name: "a" > ; layer { dim: [1, 2 ,3], dim: [] } ,',
    'text: "adjacent" \'strings\'\n  "joined" n: 0x1F m: 017 f: 1.f g: .5e-3 h: -inf i: - 1',
    '\ufeffname: "with a byte order mark"\n# \u00fc\u4e2d non-ASCII comment',
    'unknown_of_a_fork { deep { deeper: VALUE } } list [ { a: 1 }, { a: 2 } ]',
    'name: "x"input_dim: 3 layer{}layer{}',
]


@pytest.mark.parametrize("text", ODD)
def test_text_comes_back_to_the_byte(text):
    assert Document.parse(text).text() == text


def test_bytes_that_are_no_utf8_come_back():
    data = b'name: "\xff\xfe" # \xe9\n'
    assert Document.parse(data).encode() == data


@pytest.mark.slow
def test_every_file_of_the_corpus_comes_back_or_is_refused_with_line_and_column(shared):
    files = [path for path in sorted((shared / "prototxt").iterdir()) if path.name != "INDEX.tsv"]
    parsed = 0
    for path in files:
        data = path.read_bytes()
        try:
            assert Document.parse(data, path.name).encode() == data
            parsed += 1
        except PrototxtError as error:
            assert error.line >= 1 and error.column >= 1
    assert parsed > 480


def test_values_keep_how_they_are_written():
    root = Document.parse("lr: 1.f on: true pool: MAX neg: - 2 hex: 0x10 oct: 010").root
    assert [field.value.text for field in root] == ["1.f", "true", "MAX", "- 2", "0x10", "010"]
    assert [root.first(name).value.integer() for name in ("neg", "hex", "oct")] == [-2, 16, 8]


def test_strings_are_decoded_and_joined():
    root = Document.parse(r"""s: "a\n\x41\101" '\'"' "\u00e9" """).root
    assert root.first("s").string() == "a\nAA'\"\u00e9"


def test_elements_of_a_list_are_fields_of_one_name():
    root = Document.parse("dim: [1, 2, 3] dim: 4 shape [ { dim: 5 }, { dim: 6 } ]").root
    assert [field.value.text for field in root.all("dim")] == ["1", "2", "3", "4"]
    assert [f.value.first("dim").value.text for f in root.all("shape")] == ["5", "6"]


def test_a_list_may_be_long():
    root = Document.parse("dim: [" + "1, " * 50000 + "2] shape [" + "{ }, " * 50000 + "{ }]").root
    assert len(root.all("dim")) == 50001 and len(root.all("shape")) == 50001
    assert root.all("dim")[-1].value.text == "2"


def test_an_empty_list_is_no_field_but_is_remembered():
    root = Document.parse("dim: [ ] shape [] name: 'x'").root
    assert [field.name for field in root] == ["name"]
    assert [(f.name, f.value.text) for f in root.empty_lists] == [("dim", ": [ ]"), ("shape", "[]")]


def test_the_elements_of_a_list_share_its_span():
    text = "a: 1 dim: [1, 2]; b: 2"
    fields = Document.parse(text).root.all("dim")
    assert {text[field.start : field.end] for field in fields} == {"dim: [1, 2];"}


def test_a_text_without_fields_is_a_document_as_protobuf_takes_it():
    for text in ("", " \n\t\n", "# a comment"):
        assert len(Document.parse(text).root) == 0


def test_fields_know_their_place():
    field = Document.parse('name: "x"\n\n  layer { }\n').root.first("layer")
    assert (field.line, field.column) == (3, 3)


@pytest.mark.parametrize(
    "text, line, column, problem",
    [
        ("layer {\n  name:", 2, 8, "end of the file"),
        ("layer {\n  pool: MAX\n", 3, 1, "opened in line 1"),
        ("layer {\n}\n}", 3, 1, "has no opening brace"),
        ("layer { > }", 1, 9, "found '>'"),
        ("name 5", 1, 6, "expected ':'"),
        ('name: "a\nb"', 1, 7, "is not closed on its line"),
        ("a: 08", 1, 4, "octal"),
        ("a: 1.2.3", 1, 4, "not a number"),
        ("a: 1e", 1, 4, "exponent"),
        ("a: -MAX", 1, 5, "number after '-'"),
        ('a: "\\q"', 1, 5, "unknown escape in a string: \\q"),
        ('a: "12345\\X41"', 1, 10, "unknown escape in a string: \\X"),
        ("a: 0x", 1, 4, "not a number: 0x"),
        ("a: 1b: 2", 1, 4, "not a number: 1b"),
        ("a: 017.5", 1, 4, "not a number: 017.5"),
        ("a: [1 2]", 1, 7, "','"),
        ("a: ${X}", 1, 4, "template"),
        ("type: `input`", 1, 7, "template"),
        ("caf\u00e9: 1", 1, 4, "outside ASCII"),
        ("a: 1\n\x00\x08", 2, 1, "binary"),
        ("<!DOCTYPE html>\n<html>", 1, 1, "web page"),
        ("<?xml version='1.0'?><Error/>", 1, 1, "XML, perhaps the error message of a server"),
        ('{"message": "Not Found"}', 1, 1, "JSON, perhaps the error message of a server"),
        ('source: "C:\\Users\\me"', 1, 12, "in a path, write / instead of \\"),
        ("version https://git-lfs.github.com/spec/v1\noid", 1, 1, "git lfs pull"),
        ('a: 1\n<<<<<<< HEAD\nb: 2', 2, 1, "conflict marker"),
    ],
)
def test_what_is_no_prototxt_is_refused_with_its_place(text, line, column, problem):
    with pytest.raises(PrototxtError) as caught:
        Document.parse(text, "net.prototxt")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"net.prototxt:{line}:{column}: ")


def test_nesting_bombs_end_in_an_error():
    Document.parse("a {" * MAX_DEPTH + "}" * MAX_DEPTH)
    with pytest.raises(PrototxtError, match="nested"):
        Document.parse("a {" * 1000000)


def test_a_hundred_megabytes_of_one_line_end_in_an_error():
    with pytest.raises(PrototxtError, match="not a net definition"):
        Document.parse("a" * (100 << 20))


def test_a_million_fields_end_in_an_error():
    with pytest.raises(PrototxtError, match="is not a net definition"):
        Document.parse("a: 1 " * (MAX_FIELDS + 1))


@pytest.mark.parametrize("text", [
    '"' + "\\n" * 100000, "name: " + "1" * 100000 + "x", "a" * 100000, "-" * 100000,
    "#" + "\n#" * 100000, "a: " + "''" * 100000 + "]", "\0" * 100000,
    "input: 'a' input_dim: " + "9" * 100000,
])
def test_bombs_of_one_token_end_in_a_short_sentence(text):
    with pytest.raises(PrototxtError) as caught:
        Net.parse(Document.parse(text))
    assert len(str(caught.value)) < 1200


def test_a_missing_file_is_named():
    with pytest.raises(PrototxtError, match="nowhere.prototxt: no such file"):
        Document.load("nowhere.prototxt")


@settings(deadline=None)
@given(st.text(alphabet="ab:{}<>[];,-\"'\\# \n\r\t019.eExf\u00e9\x00", max_size=60))
def test_any_text_comes_back_or_is_refused(text):
    try:
        assert Document.parse(text).text() == text
    except PrototxtError as error:
        assert error.line >= 1


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_BLANKS = st.sampled_from([" ", "\n", "\t ", "\r\n", " # it's {a} comment\n"])
_SCALARS = st.one_of(
    st.integers(-(2**40), 2**40).map(str),
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(["true", "MAX", "0x1f", "1.f", "-inf", "'s'", '"a" "b"', r'"\x41\n"']),
)


@st.composite
def _fields(draw, depth=3):
    pieces = []
    for _ in range(draw(st.integers(0, 4))):
        name, blank = draw(_NAMES), draw(_BLANKS)
        if draw(st.integers(0, 5)) == 0:
            elements = draw(st.lists(_SCALARS, max_size=3))
            pieces.append(name + ":" + blank + "[" + ", ".join(elements) + blank + "]")
        elif depth and draw(st.booleans()):
            opening, closing = draw(st.sampled_from(["{}", "<>"]))
            body = draw(_fields(depth=depth - 1))
            colon = draw(st.sampled_from(["", ":"]))
            pieces.append(name + colon + blank + opening + body + closing)
        else:
            pieces.append(name + ":" + blank + draw(_SCALARS))
        pieces.append(draw(st.sampled_from(["", ";", ","])) + draw(_BLANKS))
    return "".join(pieces)


@settings(deadline=None)
@given(_fields())
def test_well_formed_text_is_accepted_and_comes_back(text):
    if text.strip():
        document = Document.parse(text)
        assert document.text() == text
        assert _covered(document.root, text) == len(document.root)


def _covered(message, text):
    """How many fields lie in their message, in order, and begin with their name."""
    end, count = message.start, 0
    for field in message:
        assert text[field.start :].startswith(field.name) and field.end <= message.end
        assert field.start >= end or field.in_list
        assert field.start < field.value.start < field.value.end <= field.end
        count, end = count + 1, field.end
        if field.is_message:
            _covered(field.value, text)
    return count


@pytest.mark.parametrize("content, kind", [
    (b"BZh91AY&SY", "a bzip2 archive; unpack it first"),
    (b"\xff\xfen\x00a\x00", "text in UTF-16; save it as UTF-8"),
    (b"\n\x03net\xa2\x06\x10\n\x05conv1", "Were the two exchanged?"),
    (b"\x89HDF\r\n\x1a\n" + bytes(8), "an HDF5 file, such as weights"),
])
def test_files_of_another_kind_are_named(tmp_path, content, kind):
    path = tmp_path / "net.prototxt"
    path.write_bytes(content)
    with pytest.raises(PrototxtError) as caught:
        Document.load(str(path))
    assert kind in str(caught.value)
