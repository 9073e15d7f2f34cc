"""Archives of evidence: complete, and any change shows."""

import json
import shutil
import subprocess
import zipfile

import pytest
from outputs import pets

from caffe_gradcam.commands import cli
from caffe_gradcam.report import evidence
from caffe_gradcam.report.evidence import verifying
from caffe_gradcam.report.output import Output
from prototxt_tools.errors import InputError

pytest.importorskip("jinja2", reason="jinja2 is not installed here")


@pytest.fixture
def archive(tmp_path):
    """The evidence of four pets, with an attached file."""
    (tmp_path / "evaluation.json").write_text("{}")
    path = tmp_path / "evidence.zip"
    evidence.write(Output(str(pets(tmp_path, part_size=2))), str(path),
                   [str(tmp_path / "evaluation.json")])
    return path


def rewrite(path, change, add=()):
    """Write the archive again, with other bytes in some files; None leaves one out."""
    with zipfile.ZipFile(str(path)) as old:
        files = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(str(path), "w") as new:
        for name, data in files + list(add):
            data = change(name, data)
            if data is not None:
                new.writestr(name, data)


def test_an_archive_holds_everything_and_is_sound(archive):
    with zipfile.ZipFile(str(archive)) as opened:
        names = set(opened.namelist())
        assert names >= {
            "README.txt", "SHA256SUMS", "contents.json", "report.html", "scores.csv", "recipe.json",
            "pictures.json", "environment.json", "attached/evaluation.json",
            "output/manifest.json", "output/parts/part-000001.jsonl",
            "output/parts/part-000000.npz", "output/items/items-000000.jsonl",
            "output/checksums/part-000000.npz.sha256"}
        contents = json.loads(opened.read("contents.json").decode())
        pictures = json.loads(opened.read("pictures.json").decode())
        text = opened.read("README.txt").decode()
        environment = json.loads(opened.read("environment.json").decode())
        software = json.loads(opened.read("sbom.json").decode())
    assert (contents["images"], contents["right"], contents["labelled"]) == (4, 2, 3)
    assert len(pictures["0000.png"]) == 64
    assert "2(e)" in text and "2(g)" in text and "attached/evaluation.json" in text
    assert environment["runs"] == [{"numpy": "2.0"}]
    assert "numpy" in {component["name"] for component in software["components"]}
    assert "the engine of the batch was not compared with another one" in text
    assert evidence.verify(str(archive)) == []


def test_a_survey_is_part_of_it_if_made(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    out = pets(tmp_path)
    assert cli.main(["survey", str(out), "-q", "--maps-only"]) == 0
    evidence.write(Output(str(out)), str(tmp_path / "evidence.zip"))
    with zipfile.ZipFile(str(tmp_path / "evidence.zip")) as opened:
        assert opened.read("survey.json") == (out / "survey.json").read_bytes()
        assert opened.read("survey.html") == (out / "survey.html").read_bytes()
        assert "survey.json, survey.html\n      Shows:" in opened.read("README.txt").decode()
    assert evidence.verify(str(tmp_path / "evidence.zip")) == []


def test_an_evaluation_beside_the_batch_is_part_of_it(tmp_path):
    out = pets(tmp_path)
    (out / "evaluate.json").write_text(json.dumps({"prototxt_sha256": "a" * 64}))
    (out / "deletion.png").write_bytes(b"curves")
    (out / "protocol.json").write_text("{}")
    path = str(tmp_path / "evidence.zip")
    problems = evidence.write(Output(str(out)), path)
    assert not any("left out" in problem for problem in problems)
    with zipfile.ZipFile(path) as opened:
        assert {"evaluate.json", "deletion.png", "protocol.json"} <= set(opened.namelist())
        assert "evaluate.json, deletion.png\n      Shows:" in opened.read("README.txt").decode()
    assert evidence.verify(path) == []


@pytest.mark.parametrize("text, problem", [
    (json.dumps({"prototxt_sha256": "b" * 64}), "is about another model (prototxt_sha256 differs)"),
    ("[]", "holds no results"), ("[" * 5000, "cannot be read as JSON")])
def test_results_that_are_not_of_the_batch_are_left_out_and_named(tmp_path, text, problem):
    out = pets(tmp_path)
    (out / "evaluate.json").write_text(text)
    path = str(tmp_path / "evidence.zip")
    assert f"evaluate.json: {problem}; it is left out" in evidence.write(Output(str(out)), path)
    with zipfile.ZipFile(path) as opened:
        assert "evaluate.json" not in opened.namelist()
        assert problem in opened.read("README.txt").decode()


def test_the_sums_are_those_of_sha256sum(archive, tmp_path):
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed here")
    with zipfile.ZipFile(str(archive)) as opened:
        opened.extractall(str(tmp_path / "unpacked"))
    for folder, file in (("", "SHA256SUMS"), ("output", "checksums/part-000000.npz.sha256")):
        subprocess.run(["sha256sum", "-c", "--quiet", file], check=True,
                       cwd=str(tmp_path / "unpacked" / folder))


@pytest.mark.parametrize("name", ["report.html", "output/parts/part-000000.npz", "README.txt"])
def test_a_changed_file_is_found(archive, name):
    rewrite(archive, lambda other, data: data + b" " if other == name else data)
    assert f"{name}: its SHA-256 is not the one in SHA256SUMS" in evidence.verify(str(archive))


def test_a_part_with_new_sums_differs_from_what_the_batch_wrote(archive):
    import hashlib

    name = "output/parts/part-000000.jsonl"
    with zipfile.ZipFile(str(archive)) as opened:
        old = opened.read(name)
    new = old.replace(b"cat", b"dog")
    digests = [hashlib.sha256(data).hexdigest().encode() for data in (old, new)]
    rewrite(archive, lambda other, data: new if other == name else data.replace(
        *digests) if other == "SHA256SUMS" else data)
    assert evidence.verify(str(archive)) == [f"{name}: is not what the batch wrote"]


def test_a_file_that_is_missing_or_new_is_found(archive):
    rewrite(archive, lambda name, data: None if name == "scores.csv" else data,
            [("extra.txt", b"")])
    assert evidence.verify(str(archive)) == ["extra.txt: is not in SHA256SUMS",
                                             "scores.csv: is missing"]


def test_two_files_of_one_name_are_found(archive):
    with pytest.warns(UserWarning):
        rewrite(archive, lambda name, data: data, [("report.html", b"other")])
    assert "report.html: occurs twice" in evidence.verify(str(archive))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip file at all"])
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "evidence.zip").write_bytes(data)
    with pytest.raises(InputError, match="not a sound archive"):
        evidence.verify(str(tmp_path / "evidence.zip"))


def test_another_archive_is_refused(tmp_path):
    with zipfile.ZipFile(str(tmp_path / "a.zip"), "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(InputError, match="not an archive of evidence"):
        evidence.verify(str(tmp_path / "a.zip"))


def test_an_archive_that_would_fill_the_disk_is_refused(archive, monkeypatch):
    monkeypatch.setattr(verifying, "_MOST_BYTES", 1000)
    with pytest.raises(InputError, match="holds more"):
        evidence.verify(str(archive))


@pytest.fixture
def key(tmp_path):
    """A key of Alice, and a file that allows her to sign."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed here")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")],
                   check=True)
    public = (tmp_path / "key.pub").read_text().split()
    (tmp_path / "signers").write_text(f"alice@example.org {public[0]} {public[1]}\n")
    return tmp_path / "key"


def sign(key, path):
    result = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(key),
                             str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if result.returncode != 0:
        pytest.skip("this ssh-keygen cannot sign")


def test_a_signature_is_checked_where_there_is_one(archive, key, tmp_path):
    sign(key, archive)
    assert evidence.verify(str(archive)) == []
    assert evidence.verify(str(archive), str(tmp_path / "signers")) == []
    (tmp_path / "nobody").write_text("")
    assert evidence.verify(str(archive), str(tmp_path / "nobody")) == [
        f"{archive}.sig: is by nobody in {tmp_path / 'nobody'}"]
    rewrite(archive, lambda name, data: data)  # Other bytes, the same content.
    assert evidence.verify(str(archive)) == [f"{archive}.sig: does not fit the archive"]


def test_a_signature_that_is_asked_for_must_be_there(archive, tmp_path):
    (tmp_path / "signers").write_text("")
    assert evidence.verify(str(archive), str(tmp_path / "signers")) == [
        f"{archive}.sig: there is no signature"]


def test_the_command_writes_and_verifies(tmp_path, capsys):
    path = str(tmp_path / "new" / "evidence.zip")
    assert cli.main(["evidence", str(pets(tmp_path)), "-o", path]) == 0
    assert cli.main(["evidence", "verify", path]) == 0
    assert "as it was written; it is not signed" in capsys.readouterr().out
    with open(path, "r+b") as file:
        file.seek(-1000, 2)
        file.write(b"x" * 10)
    assert cli.main(["evidence", "verify", path]) in (1, 2)


@pytest.mark.parametrize("arguments, message", [
    ([], "there is no archive to write"), (["-o", "evidence.tar"], "evidence is a .zip file"),
    (["-o", "evidence.zip", "--attach", "none.json"], "none.json: cannot be read"),
    (["-o", "evidence.zip", "--attach", "a/x", "--attach", "b/x"], "have the same name")])
def test_the_command_refuses_what_it_cannot_use(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evidence", str(pets(tmp_path)), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".evidence-*"))
