"""Streams: the order of chunks, what is in each, and what happens when the client leaves."""

import asyncio
import json

import openai
from conftest import eventually
from openai.types.chat import ChatCompletionChunk


def check_constant(chunks):
    """What must be the same in all chunks of one answer."""
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1


def test_order_of_chunks(chat, model):
    chunks = list(chat(stream=True))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.to_dict(), strict=True)
        assert chunk.usage is None, "nobody asked for usage"
        assert len(chunk.choices) == 1
    check_constant(chunks)
    assert chunks[0].model == model
    assert chunks[0].object == "chat.completion.chunk"
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert first.delta.role == "assistant"
    assert not first.delta.content
    assert middle
    for choice in middle:
        assert choice.delta.role is None
        assert choice.delta.content
        assert choice.finish_reason is None
    assert last.finish_reason in ("stop", "length")
    assert not last.delta.content


def test_usage_chunk_comes_last_when_asked_for(chat):
    *chunks, last = chat(stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    check_constant([*chunks, last])


def test_streamed_is_the_same_as_whole(chat):
    chat(max_tokens=48)  # from here on the prompt is in the prefix cache
    whole = chat(max_tokens=48)
    chunks = list(chat(max_tokens=48, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage


def test_stop_string_never_shows_in_a_stream(chat):
    chat("Tell a long story.", max_tokens=40)  # from here on the prompt is in the prefix cache
    whole = chat("Tell a long story.", max_tokens=40).choices[0].message.content
    third = len(whole) // 3
    stop = whole[third : third + 6]
    chunks = list(chat("Tell a long story.", max_tokens=40, stop=stop, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole[: whole.index(stop)]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_choices_of_n_are_told_apart(chat):
    chunks = list(chat(stream=True, n=2, temperature=1, seed=3, max_tokens=8))
    for index in (0, 1):
        of_choice = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert of_choice[0].delta.role == "assistant"
        assert of_choice[-1].finish_reason
        assert sum(choice.finish_reason is not None for choice in of_choice) == 1


def test_stream_helper_puts_the_answer_together(client, model):
    # The helper refuses answers that the limit cut, so this one ends at its first space.
    request = {"messages": [{"role": "user", "content": "Name three colours."}], "temperature": 0, "stop": [" "]}
    with client.chat.completions.stream(model=model, max_tokens=200, **request) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content
    assert final.choices[0].finish_reason == "stop"


def test_unknown_model_is_an_error_before_the_stream(chat):
    try:
        chat(stream=True, model="gpt-99")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("no error")


def test_client_that_leaves_frees_its_sequence(chat, server):
    stream = chat("Tell a long story.", stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
    for _, _chunk in zip(range(4), stream):
        pass
    assert server.engine_metric("vllm:num_requests_running") == 1
    stream.close()
    eventually(lambda: server.engine_metric("vllm:num_requests_running") == 0)
    eventually(lambda: server.get("/health")[1]["gateway"]["in_flight"] == 0)


def test_keep_alive_comments_and_headers(server, model):
    """The bytes on the wire, which the SDK hides. The server is told to send comments every 50 ms."""
    messages = [{"role": "user", "content": "word " * 2000}]
    body = {"model": model, "messages": messages, "max_tokens": 4, "stream": True}
    status, headers, answer = server.post("/v1/chat/completions", json.dumps(body).encode())
    assert status == 200
    assert headers["content-type"].split(";")[0] == "text/event-stream"
    assert "no-cache" in headers["cache-control"]
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-request-id"]
    assert headers["content-encoding"] is None
    *events, end = answer.decode("utf-8", errors="strict").split("\n\n")
    assert end == ""
    assert events[-1] == "data: [DONE]"
    assert any(event.startswith(":") for event in events), "no comment while a long prompt was read"
    for event in events[:-1]:
        assert "\n" not in event
        if not event.startswith(":"):
            ChatCompletionChunk.model_validate_json(event.removeprefix("data: "), strict=True)


def test_the_sdk_reads_a_stream_with_comments(chat):
    chunks = list(chat("word " * 2000, stream=True, max_tokens=4, extra_body={"ignore_eos": True}))
    assert chunks[-1].choices[0].finish_reason == "length"


def test_eight_streams_at_once_are_interleaved(server, model):
    order = []

    async def one(client, index):
        stream = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": f"Write about the number {index}."}],
            max_tokens=64,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                order.append(index)
            if chunk.usage:
                return chunk.usage.completion_tokens
        return None

    async def all_of_them():
        async with openai.AsyncOpenAI(
            base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120
        ) as client:
            return await asyncio.gather(*(one(client, index) for index in range(8)))

    assert asyncio.run(all_of_them()) == [64] * 8
    last_to_begin = max(order.index(index) for index in range(8))
    first_to_end = min(len(order) - 1 - order[::-1].index(index) for index in range(8))
    assert last_to_begin < first_to_end, "a stream began only after another had ended"
