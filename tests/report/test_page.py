"""Pages as text: complete, harmless, and several where one is too long."""

import html.parser
import json
import re
import sys

import pytest
from outputs import explanation, items, pets, rows_of, write

from caffe_gradcam.report import page
from caffe_gradcam.report.entries import Report
from caffe_gradcam.report.output import Output
from caffe_gradcam.report.summary import Summary
from prototxt_tools.errors import InputError

pytest.importorskip("jinja2", reason="jinja2 is not installed here")

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u2028{{7*7}}"


def written(folder, path, **options):
    output = Output(str(folder))
    return page.write(str(path), output.report, output.entries(64), **options)


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search('<script type="application/json" id="data">(.*?)</script>',
                                text, re.S).group(1))


class Elements(html.parser.HTMLParser):
    """The elements of a page, and its text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_a_page_is_one_file_that_names_no_other(tmp_path):
    assert written(pets(tmp_path), tmp_path / "report.html") == [str(tmp_path / "report.html")]
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    for tag, attributes in elements.tags:
        for name in ("src", "href", "action", "data", "poster"):
            assert attributes.get(name, "#")[0] == "#" or attributes[name] == "data:,", (
                tag, attributes)
    assert "http" not in elements.text


def test_a_page_tells_accuracy_confusion_and_failures(tmp_path):
    written(pets(tmp_path), tmp_path / "report.html")
    text = Elements((tmp_path / "report.html").read_text(encoding="utf-8")).text
    for words in ("What Pets looked at", "66.7 %", "95 % interval 20.8 to 93.9 %",
                  "Confusion matrix", "not an image", "readme.md"):
        assert words in text


def test_names_stay_texts_whatever_they_hold(tmp_path):
    names = (HOSTILE, "b", "c")
    several = items(tmp_path / "pictures", 2)
    rows = [rows_of(item, "ok", 1, 0, [explanation(0, names=names)], id=HOSTILE,
                    path=f"/gone/{HOSTILE}", note=HOSTILE) for item in several[:1]]
    rows.append(rows_of(several[1], "failed", 0, error=HOSTILE))
    folder = write(tmp_path / "out", several, rows, class_names=names)
    written(folder, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    elements = Elements(text)
    assert [attributes for tag, attributes in elements.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"}, {}]
    assert not [attributes for tag, attributes in elements.tags
                if tag == "img" or any(name.startswith("on") for name in attributes)]
    assert "<img" not in text
    data = data_of(tmp_path / "report.html")
    assert data["entries"][0]["maps"][0]["question"] == f"0 {HOSTILE}"
    assert data["class_names"]["0"] == HOSTILE


def test_characters_that_reorder_a_name_are_shown_as_what_they_are(tmp_path):
    several = items(tmp_path / "pictures", 1)
    rows = [rows_of(several[0], "failed", 0, error="bad", path="\u202egnp.exe")]
    written(write(tmp_path / "out", several, rows, class_names=("\u2067a", "b")),
            tmp_path / "report.html")
    assert data_of(tmp_path / "report.html")["entries"][0]["path"] == "\\u202egnp.exe"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>\\u202egnp.exe</td>" in text and "\u2067" not in text


def test_the_policy_of_the_page_allows_its_own_script_alone(tmp_path):
    written(pets(tmp_path), tmp_path / "report.html")
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    policy = next(attributes["content"] for tag, attributes in elements.tags
                  if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy


def test_names_that_are_not_unicode_do_not_stop_a_page(tmp_path):
    report = Report("a\udcff", "b", Summary(), problems=["\ud800"])
    assert b"a?" in page.render(report, [])


def test_what_is_too_long_for_a_page_stands_on_several(tmp_path):
    files = written(pets(tmp_path), tmp_path / "my report.html", on_page=2)
    names = [file[len(str(tmp_path)) + 1:] for file in files]
    assert names == ["my report.html", "my report_pages/page-0001.html",
                     "my report_pages/page-0002.html"]
    text = (tmp_path / "my report.html").read_text(encoding="utf-8")
    assert 'href="my%20report_pages/page-0001.html"' in text and "66.7 %" in text
    assert [entry["number"] for entry in data_of(tmp_path / names[2])["entries"]] == [2, 3]
    second = (tmp_path / names[2]).read_text(encoding="utf-8")
    assert 'href="../my%20report.html"' in second


def test_a_full_page_needs_no_second_one(tmp_path):
    assert len(written(pets(tmp_path), tmp_path / "report.html", on_page=4)) == 1


def test_without_jinja2_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"pip install 'caffe-gradcam\[report\]'"):
        written(pets(tmp_path), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("images, side", [(1, 480), (200, 480), (201, 320), (5000, 224)])
def test_pictures_are_smaller_where_there_are_many(images, side):
    assert page.side_for(images) == side
