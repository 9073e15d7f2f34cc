"""Whatever servers do, in the end the right file is there, or none."""

import dataclasses
import hashlib
import os
import shutil
import ssl
import subprocess

import numpy as np
import pytest

pytest.importorskip("requests")
hypothesis = pytest.importorskip("hypothesis")

from hypothesis import strategies as some  # noqa: E402
from web_server import Answer, serving  # noqa: E402

from caffe_gradcam.zoo import download  # noqa: E402
from caffe_gradcam.zoo.entries import File  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402

GOOD = np.random.RandomState(0).bytes(300000)
BAD = np.random.RandomState(1).bytes(300000)
HASTY = download.Policy(connect=2, stall=0.05, tries=2, pause=0.001, longest_pause=0.01)

answers = some.one_of(
    some.builds(Answer, some.sampled_from([GOOD, BAD, GOOD[:-1], GOOD + b"x", b"<html>", b""]),
                status=some.just(200), only=some.sampled_from([None, 0, 1, 1000, 200000]),
                stall=some.sampled_from([0, 0, 0.1]), ranges=some.booleans(),
                headers=some.sampled_from([{}, {"ETag": '"1"'}, {"Content-Type": "text/html"}]),
                length=some.sampled_from([None, None, 0, 400000])),
    some.builds(Answer, some.sampled_from([b"", GOOD]), status=some.sampled_from(
        [206, 403, 404, 416, 429, 500, 503]), headers=some.sampled_from(
            [{}, {"Content-Range": "bytes 0-1/2"}, {"Content-Range": "bytes */300000"},
             {"Content-Range": "nonsense"}, {"Retry-After": "soon"}])),
    some.just(Answer(b"", 302, {"Location": "/b"})),
)


@hypothesis.given(some.lists(answers, min_size=1, max_size=4), some.lists(answers, min_size=1,
                                                                         max_size=3),
                  some.sampled_from([None, b"", GOOD[:5000], BAD[:5000], GOOD, GOOD + b"x"]))
@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(
    hypothesis.HealthCheck))
def test_the_right_file_or_none(tmp_path_factory, first, second, begun):
    place = str(tmp_path_factory.mktemp("lies") / "net.caffemodel")
    if begun is not None:
        with open(place + ".part", "wb") as part:
            part.write(begun)
    with serving({"/a": first, "/b": second}) as server:
        wanted = File("weights", "net.caffemodel", (server.url + "/a", server.url + "/b"), (),
                      None, {"sha256": hashlib.sha256(GOOD).hexdigest()})
        try:
            download.download(wanted, place, HASTY, quiet=True)
        except InputError:
            assert not os.path.exists(place)
            return
    with open(place, "rb") as file:
        assert file.read() == GOOD
    assert os.listdir(os.path.dirname(place)) == ["net.caffemodel"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_certificates_are_those_that_the_environment_trusts(tmp_path, monkeypatch):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    place = str(tmp_path / "net.caffemodel")
    with serving({"/a": [Answer(GOOD)]}) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_address[1]}/a"
        wanted = File("weights", "net.caffemodel", (url,), (), len(GOOD), {})
        with pytest.raises(InputError, match="its certificate cannot be verified; REQUESTS_CA_BU"):
            download.download(wanted, place, dataclasses.replace(HASTY, stall=2), quiet=True)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
        download.download(wanted, place, dataclasses.replace(HASTY, stall=2), quiet=True)
    assert os.path.getsize(place) == len(GOOD)
