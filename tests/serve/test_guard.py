"""Who may ask the server."""

import pytest
from asgi import HOST, ask

from caffe_gradcam.serve import running
from caffe_gradcam.serve.guard import MOST_BYTES, Guard


async def inner(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@pytest.mark.parametrize("host", [
    "localhost", "localhost:8000", "127.0.0.1:8000", "127.8.0.1", "[::1]:8000", "LOCALHOST:8000"])
def test_this_machine_has_these_names(host):
    assert ask(Guard(inner), host=host).body == b"inside"


@pytest.mark.parametrize("host", [
    "", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
    "192.168.1.5:8000", "0.0.0.0", "[::ffff:1.2.3.4]", "localhost:8000:9", "localhost@evil.example",
    "127.0.0.1:8000/", "2130706433"])
def test_a_name_that_leads_here_by_dns_is_refused(host):
    response = ask(Guard(inner), host=host)
    assert response.status == 421 and b"inside" not in response.body


def test_further_names_are_those_that_are_allowed():
    guard = Guard(inner, "secret", frozenset(["GPU1.example"]))
    for host, status in (("gpu1.example:8000", 200), ("10.1.2.3:8000", 200), ("gpu2.example", 421)):
        assert ask(guard, host=host, authorization="Bearer secret").status == status


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:8001"},
    {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}])
def test_pages_of_other_origins_may_not_ask(headers):
    assert ask(Guard(inner), "/v1/explain", {}, **headers).status == 403


@pytest.mark.parametrize("headers", [
    {"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}, {}])
def test_our_own_pages_and_programs_may_ask(headers):
    assert ask(Guard(inner), "/v1/explain", {}, **headers).status == 200


def test_a_link_of_another_site_may_lead_to_the_page():
    assert ask(Guard(inner), sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200
    assert ask(Guard(inner), sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", ""])
def test_what_a_form_of_any_page_can_send_is_refused(kind):
    """A browser asks for leave before it sends JSON to another origin, and gets none."""
    assert ask(Guard(inner), "/v1/explain", {}, content_type=kind).status == 415


def test_a_token_is_asked_for_where_there_is_one():
    guard = Guard(inner, "secret")
    assert ask(guard).status == 401
    assert ask(guard, authorization="Bearer wrong").status == 401
    assert ask(guard, cookie="a=b; caffe_gradcam_token=wrong").status == 401
    assert ask(guard, "/v1/model?token=secret").status == 401
    assert ask(guard, authorization="Bearer secret").body == b"inside"
    assert ask(guard, cookie="a=b; caffe_gradcam_token=secret").body == b"inside"


def test_the_first_page_turns_the_token_into_a_cookie():
    response = ask(Guard(inner, "secret"), "/?token=secret")
    assert response.status == 303 and response.headers["location"] == "/"
    assert response.headers["set-cookie"] == (
        "caffe_gradcam_token=secret; HttpOnly; SameSite=Strict; Path=/")


def test_an_empty_token_fits_nothing():
    assert ask(Guard(inner, "secret"), authorization="Bearer ").status == 401


@pytest.mark.parametrize("length", [str(MOST_BYTES + 1), "-1", "x"])
def test_a_body_that_is_announced_too_large_is_refused(length):
    assert ask(Guard(inner), "/v1/explain", {}, content_length=length).status == 413


def test_every_response_forbids_frames_scripts_of_others_and_copies():
    for response in (ask(Guard(inner)), ask(Guard(inner), host="evil.example")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host, needed", [
    ("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True),
    ("192.168.0.2", True), ("gpu1.example", True)])
def test_a_token_is_made_for_addresses_that_others_reach(host, needed):
    assert (running.token_for(host, None) is not None) == needed
    assert running.token_for(host, "mine") == "mine"


def test_tokens_cannot_be_guessed():
    tokens = {running.token_for("0.0.0.0", None) for _ in range(10)}
    assert len(tokens) == 10 and min(map(len, tokens)) >= 32
