"""Changes to the text, and nothing beside them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prototxt_tools.errors import PrototxtError
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits


def removed(text, name):
    document = Document.parse(text)
    edits = Edits(document)
    for field in document.root.all(name):
        edits.remove(field)
    return edits.apply().text()


def test_errors_in_a_changed_document_name_the_lines_of_the_file():
    document = Document.parse("a: 1\nx {\n}\nb: 2\n  c: 3\n", "net.prototxt")
    edits = Edits(document)
    edits.remove(document.root.first("x"))
    edits = Edits(edits.apply())
    edits.replace(edits.document.root.first("b").value, "9")
    edits.insert_before(edits.document.root.first("a"), "new: 0")
    document = edits.apply()
    assert document.text() == "new: 0\na: 1\nb: 9\n  c: 3\n"
    assert [(field.line, field.column) for field in document.root] == [
        (1, 1), (1, 1), (4, 1), (5, 3)]
    error = document.root.first("c").error("too large")
    assert str(error) == "net.prototxt:5:3: too large"


def test_a_field_on_its_own_lines_goes_with_them():
    assert removed("a: 1\n  x {\n  }\n\nb: 2\n", "x") == "a: 1\n\nb: 2\n"


def test_carriage_returns_stay_whole():
    assert removed("a: 1\r\nx: 2\r\nb: 3\r\n", "x") == "a: 1\r\nb: 3\r\n"


def test_a_comment_behind_a_removed_field_stays():
    assert removed("a: 1\nx: 2 # why\nb: 3", "x") == "a: 1\n# why\nb: 3"


def test_neighbours_on_one_line_stay_apart():
    assert removed("a: 1 x: 2 b: 3", "x") == "a: 1 b: 3"
    assert removed("a:1,x:2,b:3", "x") == "a:1,b:3"
    assert removed("a: 1 x {} x {} b: 2", "x") == "a: 1 b: 2"
    assert removed("a:{}x{}x{}b{}", "x") == "a:{}b{}"


def test_removing_never_glues_words_together():
    assert removed("a: 1 x{}f: 2", "x") == "a: 1 f: 2"


def test_the_last_field_without_line_end_goes():
    assert removed("a: 1\nx: 2", "x") == "a: 1\n"


def inserted(text, name, line):
    document = Document.parse(text)
    edits = Edits(document)
    edits.insert_after(document.root.first(name), line)
    return edits.apply().text()


def test_an_inserted_field_follows_indentation_and_line_ends():
    assert inserted("  a: 1\r\n  b: 2\r\n", "a", "new: 3") == "  a: 1\r\n  new: 3\r\n  b: 2\r\n"


def test_an_inserted_field_goes_behind_a_comment_on_the_line():
    assert inserted("a: 1 # one\nb: 2\n", "a", "new: 3") == "a: 1 # one\nnew: 3\nb: 2\n"


def test_a_file_on_one_line_stays_on_one_line():
    assert inserted("a: 1 b: 2", "a", "new: 3") == "a: 1 new: 3 b: 2"


def test_a_file_without_line_end_gets_one_before_the_inserted_field():
    assert inserted("a: 1", "a", "new: 3") == "a: 1\nnew: 3"


def test_a_replaced_value_leaves_its_surroundings():
    document = Document.parse("a :  1  # one\n")
    edits = Edits(document)
    edits.replace(document.root.first("a").value, "2")
    assert edits.apply().text() == "a :  2  # one\n"


def test_a_field_is_appended_to_an_empty_message():
    document = Document.parse("param { }")
    edits = Edits(document)
    edits.append(document.root.first("param"), "lr_mult: 0")
    tree = edits.apply().root
    assert tree.first("param").value.first("lr_mult").value.text == "0"


_LINES = st.lists(
    st.sampled_from(["a: 1", "x: 2", "x { y: 1 }", " b { x: 3 }", "# note", "", "c: 'x' # y"]),
    min_size=1, max_size=8,
)


@settings(deadline=None)
@given(_LINES, st.sampled_from(["\n", "\r\n", " "]))
def test_removal_takes_just_the_named_fields(lines, line_end):
    if line_end == " ":
        lines = [line for line in lines if "#" not in line]
    document = Document.parse(line_end.join(["z: 0"] + lines))
    edits = Edits(document)
    for field in document.root.all("x"):
        edits.remove(field)
    after = edits.apply()
    kept = [field for field in document.root if field.name != "x"]
    assert [f.name for f in after.root] == [f.name for f in kept]
    text = after.text()
    assert [text[f.start : f.end] for f in after.root] == [
        document.text()[f.start : f.end] for f in kept
    ]
    assert text.count("#") == document.text().count("#")


@pytest.mark.parametrize(
    "names, after",
    [
        ("a", "l: [{n: b}, {n: c}] x: 1"),
        ("b", "l: [{n: a}, {n: c}] x: 1"),
        ("c", "l: [{n: a}, {n: b}] x: 1"),
        ("ab", "l: [{n: c}] x: 1"),
        ("bc", "l: [{n: a}] x: 1"),
        ("ac", "l: [{n: b}] x: 1"),
        ("abc", "x: 1"),
    ],
)
def test_an_element_of_a_list_goes_alone(names, after):
    document = Document.parse("l: [{n: a}, {n: b}, {n: c}] x: 1")
    edits = Edits(document)
    for field in document.root.all("l"):
        if field.value.first("n").string() in names:
            edits.remove(field)
    assert edits.apply().text() == after


def test_a_change_that_leaves_nothing_is_refused():
    document = Document.parse("layer { }  # all there is")
    edits = Edits(document)
    edits.remove(document.root.first("layer"))
    with pytest.raises(PrototxtError, match="no field would be left"):
        edits.apply()
