"""One entry of a source that cannot be used is one row; the others are explained."""

import io
import re
import tarfile

import pytest
from tables import column, explain, pictures, table

from prototxt_tools.errors import InputError

GOOD = '{"path": "in/0000.png"}'


def rows_of(model, tmp_path, name, data):
    pictures(tmp_path / "in", 2)
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode("ascii"))
    explain(model, tmp_path / name, tmp_path / "out")
    # A second run resumes it.
    assert explain(model, tmp_path / name, tmp_path / "out").parts == 0
    return table(tmp_path / "out", ["status", "error", "path"])


def deep(levels):
    return '{"path":' + '{"a":' * levels + "1" + "}" * levels + "}"


@pytest.mark.parametrize("line, message", [
    ('{"path": "in/0001.png", "label": 99999999999}', "a true label is .*, not 99999999999"),
    ('{"path": "in/0001.png", "label": [1]}', r"a true label is .*, not \[1\]"),
    ('{"path": "in/0001.png", "label": true}', "a true label is .*, not True"),
    ('{"path": "in/0001.png", "label": 1e999}', "a true label is .*, not inf"),
    ('{"path": "in/0001.png", "box": [' + "9" * 400 + ", 0, 1, 1]}", "a box is x,y,width,height"),
    ('{"path": "in/0001.png", "box": [' + "9" * 5000 + ", 0, 1, 1]}", ""),
    ('{"path": "in/0001.png", "box": [1e999, 0, 1, 1]}', "a box is x,y,width,height"),
    ('{"path": "in/0001.png", "id": {"a": 1}}', "the column id holds texts and numbers"),
    ('{"path": "in/\\ud800.png"}', ""),
    ('{"path": "\\u0000"}', ""),
    (deep(300), "a path is a text, not {'a': "),
    (deep(100000), "not a JSON object"),
    ("{", "not a JSON object"),
], ids=[f"line{number}" for number in range(13)])
def test_a_line_of_json_that_cannot_be_used_is_one_row(model, tmp_path, line, message):
    rows = rows_of(model, tmp_path, "t.jsonl", "\n".join([GOOD, line, GOOD]) + "\n")
    assert [row["status"] for row in rows] == ["ok", "unreadable", "ok"]
    assert re.search(message, rows[1]["error"])
    assert "\n" not in rows[1]["error"]


def test_a_label_of_a_list_beyond_int32_is_one_row(model, tmp_path):
    rows = rows_of(model, tmp_path, "list.txt", "in/0000.png 99999999999\nin/0001.png 1\n")
    assert [row["status"] for row in rows] == ["unreadable", "ok"]
    assert "list.txt, entry 1: a true label is a class number or a class name, not '99999999999'" \
        in rows[0]["error"]


def test_a_huge_field_of_a_csv_is_one_row(model, tmp_path):
    rows = rows_of(model, tmp_path, "t.csv", "path,id\nin/0000.png,a\nin/0001.png,"
                   + "b" * 200000 + "\nin/0001.png,c\n")
    assert [row["status"] for row in rows] == ["ok", "unreadable", "ok"]
    assert "t.csv:3: cannot be read: field larger than field limit" in rows[1]["error"]


def test_a_damaged_row_group_of_parquet_is_one_row(model, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed here")
    pictures(tmp_path / "in", 2)
    paths = [f"in/000{index % 2}.png" for index in range(6)]
    name = str(tmp_path / "t.parquet")
    parquet.write_table(pyarrow.table({"path": paths}), name, row_group_size=2,
                        use_dictionary=False, compression="gzip")
    column_data = parquet.ParquetFile(name).metadata.row_group(1).column(0)
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    end = column_data.data_page_offset + column_data.total_compressed_size
    data[column_data.data_page_offset:end] = b"\xff" * column_data.total_compressed_size
    rows = rows_of(model, tmp_path, "t.parquet", bytes(data))
    assert [row["status"] for row in rows] == ["ok", "ok", "unreadable", "ok", "ok"]
    assert "row 3: it and the rest of row group 1 cannot be read" in rows[2]["error"]


def test_a_label_in_a_tar_that_no_class_can_have_is_one_row(model, tmp_path):
    pictures(tmp_path / "in", 2)
    with tarfile.open(str(tmp_path / "t.tar"), "w") as archive:
        for index, label in enumerate(["99999999999", "1"]):
            image = (tmp_path / "in" / f"000{index}.png").read_bytes()
            for extension, data in (("png", image), ("cls", label.encode())):
                member = tarfile.TarInfo(f"{index}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    explain(model, tmp_path / "t.tar", tmp_path / "out")
    assert column(tmp_path / "out", "status") == ["unreadable", "ok"]


def test_a_table_that_begins_with_a_huge_field_is_refused(model, tmp_path):
    (tmp_path / "t.csv").write_text("a" * 200000 + "\n")
    with pytest.raises(InputError, match="t.csv:1: cannot be read: field larger"):
        explain(model, tmp_path / "t.csv", tmp_path / "out")


@pytest.mark.parametrize("note, message", [
    (b'{"label": 3', "a.json: not JSON, or nested too deeply"),
    (b'{"label": 3, "text": "' + b"x" * (1 << 20) + b'"}', "a.json: 1048600 bytes, more than"),
], ids=["damaged", "long"])
def test_a_note_in_a_tar_that_cannot_be_read_is_one_row(model, tmp_path, note, message):
    image = (pictures(tmp_path / "in", 1) / "0000.png").read_bytes()
    with tarfile.open(str(tmp_path / "t.tar"), "w") as archive:
        for name, data in (("a.png", image), ("a.json", note), ("b.png", image), ("b.cls", b"1")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    explain(model, tmp_path / "t.tar", tmp_path / "out")
    rows = table(tmp_path / "out", ["status", "error", "true_label"])
    assert [row["status"] for row in rows] == ["unreadable", "ok"]
    assert message in rows[0]["error"] and rows[1]["true_label"] == 1
