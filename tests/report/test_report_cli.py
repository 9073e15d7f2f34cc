"""The command report, and explain with --report."""

import pytest
from outputs import pets

from caffe_gradcam.commands import cli

pytest.importorskip("jinja2", reason="jinja2 is not installed here")


def test_report_writes_a_page_and_names_what_it_lacks(tmp_path, capsys):
    folder = pets(tmp_path)
    (tmp_path / "pictures" / "0000.png").unlink()
    page = tmp_path / "new" / "report.html"
    assert cli.main(["report", str(folder), "-o", str(page), "--title", "Cats & dogs"]) == 0
    assert "<title>Cats &amp; dogs</title>" in page.read_text(encoding="utf-8")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{page}: open it in a browser"
    assert "0000.png: no such file" in lines[1]


def test_report_of_several_pages_says_so(tmp_path, capsys):
    page = tmp_path / "report.html"
    assert cli.main(["report", str(pets(tmp_path)), "-o", str(page), "--on-page", "1"]) == 0
    assert capsys.readouterr().err == f"{page} and 4 pages: open it in a browser\n"


@pytest.mark.parametrize("arguments, message", [
    (["{out}"], "there is nothing to write"),
    (["{out}", "--csv", "{tmp}/r.csv", "--pdf", "{tmp}/r.pdf"], "give its name with -o"),
    (["{out}", "--coco", "{tmp}/r.json", "--threshold", "0"], "must be greater than 0"),
    (["{out}", "--coco", "{tmp}/r.json", "--segments", "dots"], "segments must be one of"),
    (["{out}", "-o", "report.txt"], "-o report.txt: a report is an .html file"),
    (["{tmp}", "-o", "{tmp}/r.html"], "not the output of a batch"),
    (["{out}", "-o", "{tmp}/r.html", "--boxes", "{tmp}/none.csv"], "no such file"),
])
def test_report_refuses_what_it_cannot_use(tmp_path, capsys, arguments, message):
    folder = pets(tmp_path)
    texts = [text.format(out=folder, tmp=tmp_path) for text in arguments]
    assert cli.main(["report", *texts]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_without_chromium_there_is_no_pdf(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    page = tmp_path / "r.html"
    assert cli.main(["report", str(pets(tmp_path)), "-o", str(page), "--pdf", "r.pdf"]) == 2
    assert "--pdf needs Chromium" in capsys.readouterr().err


def test_explain_writes_a_page_of_its_images(tmp_path, models, torch, capsys):
    scene = models / "digits" / "scenes" / "2-7.png"
    page = tmp_path / "report.html"
    code = cli.main(["explain", str(models / "digits"), str(scene), str(tmp_path / "none.png"),
                     "-o", str(tmp_path), "--report", str(page), "--class", "top:2",
                     "--engine", "torch", "-q"])
    text = page.read_text(encoding="utf-8")
    assert code == 1
    assert "What Digits on cluttered paper looked at" in text
    assert '"question":"2 two"' in text and '"question":"7 seven"' in text
    assert "none.png" in text and "no such file" in text
    assert "readme.md" in text and "found: the net" in text  # where values come from


def test_explain_writes_no_page_of_several_scores(tmp_path, models, capsys):
    code = cli.main(["explain", str(models / "digits"), "a.png", "-o", str(tmp_path), "--report",
                     str(tmp_path / "r.html"), "--score", "score,other"])
    assert code == 2
