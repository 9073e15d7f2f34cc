"""The service, without and with a net."""

import asyncio
import base64
import io
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from asgi import ask, asked, run

from prototxt_tools.errors import QuestionError

pytest.importorskip("starlette", reason="starlette is not installed here")

from caffe_gradcam.serve import guard  # noqa: E402
from caffe_gradcam.serve.application import MOST_WAITING, Service, application  # noqa: E402
from caffe_gradcam.serve.guard import Guard  # noqa: E402

BODY = {"image": "aQ=="}


class Stub:
    """Answers when it is allowed to."""

    def __init__(self):
        self.allowed, self.error = threading.Event(), None

    def answer(self, request):
        if self.error is not None:
            raise self.error
        assert self.allowed.wait(60)
        return request

    def to_json(self, request, answer):
        return {"name": answer.name}

    def description(self):
        return {}

    def close(self):
        self.allowed.set()


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
def guarded(stub):
    service = Service(stub, 5)
    yield Guard(application(service))
    service.close()


def test_the_page_answers_while_a_picture_is_in_work(guarded, stub):
    async def scene():
        slow = asyncio.ensure_future(asked(guarded, "/v1/explain", BODY))
        await asyncio.sleep(0.1)
        page, model = await asked(guarded, "/"), await asked(guarded, "/v1/model")
        assert not slow.done()
        stub.allowed.set()
        return page, model, await slow

    page, model, slow = run(scene())
    assert (page.status, model.status, slow.status) == (200, 200, 200)


def test_what_takes_too_long_is_an_error(stub):
    service = Service(stub, 0.1)
    response = ask(Guard(application(service)), "/v1/explain", BODY)
    service.close()
    assert response.status == 504 and "within 0.1 s" in response.json["error"]


def test_only_so_many_requests_wait(guarded, stub):
    async def scene():
        several = [asyncio.ensure_future(asked(guarded, "/v1/explain", BODY))
                   for _ in range(MOST_WAITING + 2)]
        await asyncio.sleep(0.2)
        stub.allowed.set()
        return [(await request).status for request in several]

    assert sorted(run(scene())) == [200] * MOST_WAITING + [503] * 2


def test_an_error_of_the_net_is_one_sentence(guarded, stub):
    stub.error = QuestionError("there is no class 'x'")
    response = ask(guarded, "/v1/explain", BODY)
    assert (response.status, response.json) == (400, {"error": "there is no class 'x'"})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100000])
def test_what_is_not_json_is_refused(guarded, body):
    response = ask(guarded, "/v1/explain", body)
    assert response.status == 400 and "not JSON" in response.json["error"]


def test_a_body_without_an_announced_length_is_bounded_too(guarded, monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 10)
    response = ask(guarded, "/v1/explain", b"x" * 11, content_length="0")
    assert response.status == 413


def test_only_files_of_the_page_are_served(guarded):
    assert ask(guarded, "/files/style.css").status == 200
    for path in ("/files/serve.html", "/files/../application.py", "/files/..%2fguard.py",
                 "/etc/passwd", "/v1"):
        assert ask(guarded, path).status == 404
    assert ask(guarded, "/v1/explain").status == 405


def test_the_service_is_described(guarded):
    document = ask(guarded, "/openapi.json").json
    assert document["openapi"].startswith("3.1") and set(document["paths"]) == {
        "/v1/model", "/v1/explain", "/v1/figure", "/v1/arrays"}


# With the digits' net.

def post(server, path, **fields):
    data = json.dumps(fields).encode()
    request = urllib.request.Request(
        server + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return response.headers["Content-Type"], response.read()


@pytest.fixture(scope="module")
def scene(models):
    path = models / "digits" / "scenes" / "2-7.png"
    return base64.b64encode(path.read_bytes()).decode()


def test_an_answer_has_the_numbers_of_explain(server, scene, models):
    from caffe_gradcam import Model

    _, data = post(server, "/v1/explain", image=scene, classes=["top:2"],
                   methods=["grad-cam", "layer-cam"], name="2-7.png")
    answer = json.loads(data.decode())
    with Model.load(str(models / "digits")) as model:
        expected = model.explain(str(models / "digits" / "scenes" / "2-7.png"), "top:2",
                                 ["grad-cam", "layer-cam"], engine="torch")
    assert [shown["question"] for shown in answer["maps"]] == [
        explanation.question for explanation in expected]
    for shown, explanation in zip(answer["maps"], expected):
        cam = np.frombuffer(base64.b64decode(shown["cam"]), "<f4").reshape(shown["shape"])
        np.testing.assert_array_equal(cam, explanation.cam)
        assert shown["score"] == pytest.approx(explanation.score)
    assert answer["top"][0]["class_name"] == "two" and answer["size"] == [96, 96]
    assert answer["command"].endswith("--class top:2 --method grad-cam --method layer-cam")


def test_a_part_is_asked_about_alone(server, scene):
    answer = json.loads(post(server, "/v1/explain", image=scene,
                             crop=[0, 20, 68, 68])[1].decode())
    assert answer["top"][0]["class_name"] == "seven" and answer["size"] == [68, 68]


def test_figures_and_arrays_are_files(server, scene):
    kind, data = post(server, "/v1/figure", image=scene)
    assert kind == "image/png" and data.startswith(b"\x89PNG")
    _, data = post(server, "/v1/arrays", image=scene)
    with np.load(io.BytesIO(data)) as arrays:
        assert sorted(arrays) == ["cam", "heatmap", "scores"]
        assert arrays["heatmap"].shape == (96, 96)


@pytest.mark.parametrize("fields, message", [
    ({"image": "aGVsbG8="}, "image"), ({"classes": "dragon"}, "dragon"),
    ({"methods": "magic"}, "magic"), ({"layers": "conv99"}, "conv99"),
    ({"crop": [90, 90, 10, 10]}, "reaches beyond"), ({"at": [1, 1, 1, 1]}, "")])
def test_what_cannot_be_answered_is_said(server, scene, fields, message):
    with pytest.raises(urllib.error.HTTPError) as error:
        post(server, "/v1/explain", **{"image": scene, **fields})
    sentence = json.loads(error.value.read().decode())["error"]
    assert error.value.code == 400 and message in sentence and "Traceback" not in sentence


def test_answers_agree_with_the_description(server, scene):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed here")
    with urllib.request.urlopen(server + "/openapi.json") as response:
        document = json.loads(response.read().decode())
    answer = json.loads(post(server, "/v1/explain", image=scene)[1].decode())
    schemas = document["components"]["schemas"]
    jsonschema.validate(answer, schemas["Answer"])
    jsonschema.validate({"image": scene, "classes": "top:2"}, schemas["Request"])
