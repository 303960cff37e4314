"""Typed errors: each names the field and has the one envelope."""

import json
import re

import openai
import pytest

HELLO = [{"role": "user", "content": "Hello"}]


def message(**fields):
    return {"messages": [{"role": "user", "content": "Hello", **fields}]}


BAD_FIELDS = [
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"n": 0}, "n"),
    ({"seed": "x"}, "seed"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": [1]}, "stop[0]"),
    ({"logit_bias": {"x": 1}}, "logit_bias.x"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": "yes"}, "stream"),
    ({"response_format": {"type": "nonsense"}}, "response_format.type"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
    (message(role="wizard"), "messages[0].role"),
    (message(content=7), "messages[0].content"),
    (message(content=None), "messages[0].content"),
    (message(content=[]), "messages[0].content"),
    (message(content=[{"type": "text"}]), "messages[0].content[0].text"),
    ({"messages": HELLO + [{"role": "user"}]}, "messages[1].content"),
]


def check_envelope(error, status, code=None):
    """Every error: the four fields of OpenAI's envelope, and the id of the request."""
    assert error.status_code == status
    assert set(error.body) == {"message", "type", "param", "code"}
    assert isinstance(error.body["message"], str) and error.body["message"]
    assert isinstance(error.body["code"], str)
    assert error.request_id
    if code:
        assert error.code == code


@pytest.mark.parametrize(("fields", "param"), BAD_FIELDS, ids=lambda value: None if isinstance(value, str) else json.dumps(value))
def test_bad_field_is_named(client, model, fields, param):
    body = {"model": model, "messages": HELLO, **fields}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", cast_to=object, body=body)
    check_envelope(caught.value, 400)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert param in caught.value.body["message"]


def test_the_typed_call_raises_the_typed_error(chat):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(temperature="hot")
    assert caught.value.param == "temperature"
    assert caught.value.code == "invalid_type"


def test_image_for_a_text_model(chat):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError) as caught:
        chat([{"type": "text", "text": "What is this?"}, picture])
    check_envelope(caught.value, 400)
    assert caught.value.param.startswith("messages[0].content[1]")


@pytest.mark.parametrize("field", ["model", "messages"])
def test_missing_field(client, model, field):
    body = {"model": model, "messages": HELLO}
    del body[field]
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", cast_to=object, body=body)
    assert caught.value.param == field


def test_unknown_model_names_the_nearest(chat, model):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(model=model[:-1])
    check_envelope(caught.value, 404, "model_not_found")
    assert caught.value.param == "model"
    assert f"'{model}'" in caught.value.body["message"]


def test_prompt_that_does_not_fit_is_refused_with_the_numbers(client, chat, model):
    window = client.models.retrieve(model).model_extra["max_model_len"]
    with pytest.raises(openai.BadRequestError) as caught:
        chat("word " * (window + 100))
    check_envelope(caught.value, 400, "context_length_exceeded")
    assert caught.value.param == "messages"
    numbers = [int(number) for number in re.findall(r"\d+", caught.value.body["message"].replace(",", ""))]
    assert window in numbers
    assert max(numbers) > window


def test_completion_prompt_that_does_not_fit(client, model):
    window = client.models.retrieve(model).model_extra["max_model_len"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=model, prompt="word " * (window + 100))
    check_envelope(caught.value, 400, "context_length_exceeded")
    assert caught.value.param == "prompt"


def test_unknown_url(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.get("/no/such/thing", cast_to=object)
    check_envelope(caught.value, 404, "unknown_url")


def test_wrong_method(client, model):
    with pytest.raises(openai.APIStatusError) as caught:
        client.models.delete(model)
    check_envelope(caught.value, 405, "method_not_allowed")
    assert "GET" in caught.value.response.headers["allow"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', b"\xff\xfe"],
)
def test_body_that_is_no_request(server, body):
    status, headers, answer = server.post("/v1/chat/completions", body)
    assert status == 400
    assert headers["content-type"] == "application/json"
    error = json.loads(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_body_that_is_too_large(server, model):
    body = json.dumps({"model": model, "messages": message(content="x" * (9 << 20))["messages"]}).encode()
    status, _, answer = server.post("/v1/chat/completions", body)
    assert status == 413
    assert json.loads(answer)["error"]["code"] == "request_too_large"


def test_request_id_comes_back(client, chat, model):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, max_tokens=1, extra_headers={"x-request-id": "from-the-test-1"}
    )
    assert raw.headers["x-request-id"] == "from-the-test-1"
    assert chat(max_tokens=1)._request_id
    with pytest.raises(openai.BadRequestError) as caught:
        chat(temperature=9, extra_headers={"x-request-id": "from-the-test-2"})
    assert caught.value.request_id == "from-the-test-2"


def test_health(server, model):
    status, health = server.get("/health")
    assert status == 200
    assert health["status"] == "ok"
    assert health["version"]
    assert model in [entry["id"] for entry in health["models"]]
    assert health["backends"]
    assert server.get("/health/live")[0] == 200
    assert server.get("/health/ready")[0] == 200
