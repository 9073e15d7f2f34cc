"""One file over HTTP, from servers that fail in every way that servers fail."""

import dataclasses
import hashlib
import os
import socket
import time

import pytest

pytest.importorskip("requests")

from web_server import Answer, serving  # noqa: E402

from caffe_gradcam.zoo import download  # noqa: E402
from caffe_gradcam.zoo.entries import File  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402

GOOD = bytes(range(256)) * 1000
OTHER = b"another version of it" * 12000
HASHES = {"sha256": hashlib.sha256(GOOD).hexdigest(), "sha1": hashlib.sha1(GOOD).hexdigest()}
HASTY = download.Policy(connect=2, stall=0.2, tries=3, pause=0.01, longest_pause=0.5)


def file(*urls, **known):
    return File("weights", "net.caffemodel", urls, known.pop("elsewhere", ()),
                known.pop("size", None), known.pop("hashes", HASHES))


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "net.caffemodel")


def attempt(wanted, place):
    return download.download(wanted, place, HASTY, quiet=True)


def content(place):
    with open(place, "rb") as opened:
        return opened.read()


def refusal(wanted, place):
    with pytest.raises(InputError) as caught:
        attempt(wanted, place)
    assert not os.path.exists(place)
    return str(caught.value)


def ranges(server):
    return [headers.get("Range") for _, headers in server.requests]


def test_a_good_server_gives_the_file_and_nothing_is_left_beside_it(place, tmp_path):
    with serving({"/a": [Answer(GOOD)]}) as server:
        assert attempt(file(server.url + "/a"), place) == server.url + "/a"
    assert content(place) == GOOD
    assert os.listdir(str(tmp_path)) == ["net.caffemodel"]


def test_a_wrong_file_is_never_used(place, tmp_path):
    with serving({"/a": [Answer(OTHER)]}) as server:
        message = refusal(file(server.url + "/a"), place)
    assert "gives another file, which has the SHA-256 " in message
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("kind, digits", [
    ("sha1", "0" * 40), ("sha384", "0" * 96), ("md5", "0" * 32), ("git_blob_sha1", "0" * 40),
    ("sha256_prefix", "00000000"),
])
def test_every_kind_of_hash_is_held_to(place, kind, digits):
    with serving({"/a": [Answer(GOOD)]}) as server:
        message = refusal(file(server.url + "/a", hashes={kind: digits}), place)
    assert "gives another file" in message


def test_git_blob_hashes_and_prefixes_are_computed_as_git_and_authors_do(place):
    blob = hashlib.sha1(b"blob 256000\0" + GOOD).hexdigest()
    known = {"git_blob_sha1": blob, "sha256_prefix": HASHES["sha256"][:8]}
    with serving({"/a": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a", hashes=known), place)
    assert content(place) == GOOD


def test_one_hash_of_several_that_differs_is_enough_to_refuse(place):
    with serving({"/a": [Answer(GOOD)]}) as server:
        message = refusal(file(server.url + "/a", hashes=dict(HASHES, sha1="0" * 40)), place)
    assert "has the SHA-1" in message


def test_the_next_mirror_is_taken_after_a_refusal(place):
    with serving({"/a": [Answer(OTHER)], "/b": [Answer(b"", 403)], "/c": [Answer(GOOD)]}) as server:
        urls = [server.url + path for path in ("/missing", "/a", "/b", "/c")]
        assert attempt(file(*urls), place) == urls[3]
    assert content(place) == GOOD
    assert [path for path, _ in server.requests] == ["/missing", "/a", "/b", "/c"]


def test_the_message_says_what_each_mirror_answered(place):
    with serving({"/a": [Answer(b"", 403)]}) as server:
        message = refusal(file(server.url + "/a", server.url + "/b"), place)
    assert "answers 403 Forbidden" in message and "answers 404 Not Found" in message


def test_a_broken_connection_is_gone_on_with(place):
    with serving({"/a": [Answer(GOOD, only=100000), Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD
    begins = int(ranges(server)[1][len("bytes="):-1])
    assert ranges(server)[0] is None and 98304 <= begins <= 100000


def test_a_stall_is_gone_on_with(place):
    with serving({"/a": [Answer(GOOD, only=70000, stall=1), Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD
    assert ranges(server)[0] is None and ranges(server)[1].startswith("bytes=")


def test_a_server_that_always_stalls_is_given_up(place):
    with serving({"/a": [Answer(GOOD, only=0, stall=1)]}) as server:
        message = refusal(file(server.url + "/a"), place)
    assert "127.0.0.1: " in message and len(server.requests) == 2


def test_a_server_that_drips_is_given_up(place):
    with serving({"/a": [Answer(GOOD, only=100)]}) as server:
        assert "breaks off" in refusal(file(server.url + "/a"), place)
    assert len(server.requests) == HASTY.tries


def test_connections_that_break_often_but_bring_something_are_gone_on_with(place, monkeypatch):
    monkeypatch.setattr(download, "_WORTH_IT", 30000)
    with serving({"/a": [Answer(GOOD, only=50000)] * 4 + [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD
    assert len(server.requests) > HASTY.tries


def test_a_download_that_was_killed_is_gone_on_with_from_another_mirror(place):
    with open(place + ".part", "wb") as part:
        part.write(GOOD[:5000])
    with serving({"/b": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/b"), place)
    assert content(place) == GOOD
    assert ranges(server) == ["bytes=5000-"]


def test_a_wrong_beginning_from_elsewhere_is_fetched_afresh(place):
    with open(place + ".part", "wb") as part:
        part.write(OTHER[:5000])
    with serving({"/b": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/b"), place)
    assert content(place) == GOOD
    assert ranges(server) == ["bytes=5000-", None]


def test_a_part_that_is_whole_already_is_verified_and_used(place):
    with open(place + ".part", "wb") as part:
        part.write(GOOD)
    with serving({"/a": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD
    assert ranges(server) == ["bytes=256000-"]


def test_a_part_that_is_too_long_is_dropped_at_a_416(place):
    with open(place + ".part", "wb") as part:
        part.write(GOOD + b"more")
    with serving({"/a": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


def test_a_416_for_a_fresh_request_is_given_up(place):
    with serving({"/a": [Answer(b"", 416)]}) as server:
        assert "answers 416" in refusal(file(server.url + "/a"), place)


def test_a_server_without_ranges_starts_over(place):
    answers = [Answer(GOOD, only=90000, ranges=False), Answer(GOOD, ranges=False)]
    with serving({"/a": answers}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


def test_a_range_that_begins_elsewhere_is_not_glued_on(place):
    lie = Answer(GOOD[7:], 206, {"Content-Range": "bytes 7-255999/256000"})
    with serving({"/a": [Answer(GOOD, only=90000), lie, Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


def test_without_a_hash_only_the_same_version_is_gone_on_with(place):
    first = Answer(OTHER, only=90000, headers={"ETag": '"1"'})
    second = Answer(GOOD, headers={"ETag": '"2"'})
    with serving({"/a": [first, second]}) as server:
        attempt(file(server.url + "/a", hashes={}), place)
    assert content(place) == GOOD
    assert server.requests[1][1]["If-Range"] == '"1"'


def test_without_a_hash_a_changed_etag_in_a_partial_answer_starts_over(place):
    first = Answer(OTHER, only=90000, headers={"ETag": '"1"'})
    lie = Answer(GOOD[90000:], 206, {"ETag": '"2"', "Content-Range": "bytes 90000-255999/256000"})
    with serving({"/a": [first, lie, Answer(GOOD, headers={"ETag": '"2"'})]}) as server:
        attempt(file(server.url + "/a", hashes={}), place)
    assert content(place) == GOOD


def test_without_hash_and_version_a_broken_download_starts_over(place):
    with serving({"/a": [Answer(GOOD, only=90000), Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a", hashes={}), place)
    assert ranges(server) == [None, None]
    assert content(place) == GOOD


def test_a_500_is_tried_again(place):
    with serving({"/a": [Answer(b"", 500), Answer(b"", 503), Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


def test_a_500_for_ever_is_given_up_after_as_many_tries(place):
    with serving({"/a": [Answer(b"", 500)]}) as server:
        assert "answers 500" in refusal(file(server.url + "/a"), place)
    assert len(server.requests) == HASTY.tries


def test_a_429_is_waited_for_as_long_as_it_says(place, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    answers = [Answer(b"", 429, {"Retry-After": "3"}), Answer(GOOD)]
    with serving({"/a": answers}) as server:
        policy = dataclasses.replace(HASTY, longest_pause=60)
        download.download(file(server.url + "/a"), place, policy, True)
    assert pauses == [3]


def test_a_429_that_wants_too_long_a_pause_is_given_up(place):
    with serving({"/a": [Answer(b"", 429, {"Retry-After": "3600"})]}) as server:
        assert "asks to wait 3600 seconds" in refusal(file(server.url + "/a"), place)
    assert len(server.requests) == 1


def test_pauses_grow(place, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    with serving({"/a": [Answer(b"", 500)]}) as server:
        refusal(file(server.url + "/a"), place)
    assert len(pauses) == 2
    assert 0.0075 <= pauses[0] <= 0.0125 and 0.015 <= pauses[1] <= 0.025


def test_a_redirect_is_followed(place):
    with serving({"/a": [Answer(b"", 302, {"Location": "/b"})], "/b": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


def test_redirects_in_circles_are_given_up(place):
    circle = {"/a": [Answer(b"", 302, {"Location": "/b"})],
              "/b": [Answer(b"", 302, {"Location": "/a"})]}
    with serving(circle) as server:
        assert "leads in circles" in refusal(file(server.url + "/a"), place)


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(place):
    answer = Answer(b"", 302, {"Location": "file:///etc/passwd"})
    with serving({"/a": [answer]}) as server:
        assert "neither http nor https" in refusal(file(server.url + "/a"), place)


@pytest.mark.parametrize("headers", [{"Content-Type": "text/html"}, {}])
def test_a_page_for_people_is_recognised(place, headers):
    page = Answer(b"\n<!DOCTYPE html><html>Virus scan warning</html>", headers=headers)
    with serving({"/a": [page]}) as server:
        message = refusal(file(server.url + "/a", hashes={}), place)
    assert "shows a page for people instead of the file" in message


def test_a_git_lfs_pointer_is_recognised(place):
    pointer = Answer(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n")
    with serving({"/a": [pointer]}) as server:
        assert "gives a Git LFS pointer" in refusal(file(server.url + "/a", hashes={}), place)


def test_a_file_of_another_length_is_refused_before_it_comes(place):
    with serving({"/a": [Answer(GOOD)]}) as server:
        message = refusal(file(server.url + "/a", size=999), place)
    assert "offers 256000 bytes instead of 999" in message


def test_a_claimed_length_that_never_comes_is_given_up(place):
    with serving({"/a": [Answer(b"short", length=256000)]}) as server:
        assert "breaks off" in refusal(file(server.url + "/a", hashes={}), place)


def test_a_host_that_is_not_there_is_given_up_soon(place):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
        assert "127.0.0.1: cannot be reached" in refusal(file(url), place)


def test_pages_that_refuse_programs_are_named_for_people(place, monkeypatch):
    with serving({"/uc": [Answer(b"<html>", headers={"Content-Type": "text/html"})]}) as server:
        monkeypatch.setattr(download.links, "direct", lambda url: server.url + "/uc")
        message = refusal(file("https://drive.google.com/open?id=0B9mkjlmP0d7zTEJm"), place)
    assert "Google Drive: shows a page for people" in message
    assert message.endswith(
        "get it by hand from https://drive.google.com/open?id=0B9mkjlmP0d7zTEJm and save it as "
        + place)


def test_google_drive_is_asked_for_the_file_itself():
    from caffe_gradcam.zoo.links import direct

    wanted = "https://drive.google.com/uc?export=download&id=0B9mkjlmP0d7zTEJm"
    for shape in ("open?id={}", "file/d/{}/view?usp=sharing"):
        assert direct("https://drive.google.com/" + shape.format("0B9mkjlmP0d7zTEJm")) == wanted


def test_a_proxy_of_the_environment_is_used(place, monkeypatch):
    with serving({"http://nowhere.invalid/a": [Answer(GOOD)]}) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        attempt(file("http://nowhere.invalid/a"), place)
    assert content(place) == GOOD


def test_where_no_hash_is_known_the_file_must_at_least_be_of_its_form(place):
    from prototxt_tools import weights

    with serving({"/a": [Answer(b"no caffemodel at all")]}) as server:
        with pytest.raises(InputError, match="gives another file, which cannot be read"):
            download.download(file(server.url + "/a", hashes={}), place, HASTY, True,
                              weights.load)
    assert not os.path.exists(place)


def test_a_place_that_cannot_be_written_is_said_in_one_sentence(place, tmp_path):
    os.mkdir(place + ".part")
    with serving({"/a": [Answer(GOOD)]}) as server:
        with pytest.raises(InputError, match="cannot be written"):
            attempt(file(server.url + "/a"), place)


def test_a_server_that_sends_byte_by_byte_is_given_up(place):
    begin = time.monotonic()
    with serving({"/a": [Answer(GOOD, drip=0.02)]}) as server:
        assert "answers too slowly" in refusal(file(server.url + "/a"), place)
    assert time.monotonic() - begin < 5 and len(server.requests) == HASTY.tries


def test_a_body_without_end_is_given_up_at_the_limit(place, tmp_path):
    policy = dataclasses.replace(HASTY, largest=50000)
    with serving({"/a": [Answer(GOOD, length=-1)]}) as server, pytest.raises(InputError) as caught:
        download.download(file(server.url + "/a", hashes={}), place, policy, quiet=True)
    assert "gives more than 50000 bytes" in str(caught.value)
    assert os.listdir(str(tmp_path)) == []


def test_the_body_of_a_redirect_is_not_read(place):
    moved = Answer(GOOD, 302, {"Location": "/b"}, length=1 << 50)
    with serving({"/a": [moved], "/b": [Answer(GOOD)]}) as server:
        attempt(file(server.url + "/a"), place)
    assert content(place) == GOOD


@pytest.mark.parametrize("raw", [
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nxx",
    b"HTTP/1.1 206 OK\r\nContent-Range: bytes x-y/z\r\n\r\nxx",
    b"HTTP/1.1 302 OK\r\nLocation: http://[::1/\r\n\r\n",
    b"HTTP/1.1 302 OK\r\nLocation: http://\xff\xfe:99999999/\r\n\r\n",
    b"HTTP/1.1 302 OK\r\nLocation: http://a..b/\r\n\r\n",
    b"HTTP/1.1 302 OK\r\nLocation: \r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
    b"HTTP/1.1 429 OK\r\nRetry-After: Mon, 99 Foo 99999 99:99:99 GMT\r\n\r\n",
    b"",
])
def test_whatever_a_server_answers_is_one_sentence_and_nothing_is_left(place, tmp_path, raw):
    with serving({"/a": [Answer(raw=raw)]}) as server:
        message = refusal(file(server.url + "/a"), place)
    assert "\n" not in message and message.startswith("net.caffemodel: cannot be fetched")
    assert [name for name in os.listdir(str(tmp_path)) if ".part" not in name] == []
