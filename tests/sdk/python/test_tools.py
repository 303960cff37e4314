"""Tools: forced calls match their schemas, streams are put together, errors name their fields."""

import json

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "The time now."}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
QUESTION = "What is the weather in Paris, in celsius?"


def check_call(call):
    """The call is of one of the tools, and its arguments match the schema."""
    assert call.type == "function"
    assert call.id
    arguments = json.loads(call.function.arguments)
    if call.function.name == "get_time":
        assert arguments == {}
        return
    assert call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"}
    assert isinstance(arguments["city"], str)
    assert arguments["unit"] in ("celsius", "fahrenheit")


def joined(chunks):
    """What a client makes of a stream: content, calls by index, and why it ended."""
    content, calls, reason = "", {}, None
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.to_dict(), strict=True)
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for delta in choice.delta.tool_calls or []:
                if delta.index not in calls:
                    assert delta.id and delta.type == "function" and delta.function.name
                    assert delta.function.arguments == ""
                    calls[delta.index] = {"id": delta.id, "name": delta.function.name, "arguments": ""}
                else:
                    assert delta.id is None and delta.function.name is None
                    calls[delta.index]["arguments"] += delta.function.arguments
    return content, calls, reason


@pytest.mark.parametrize("seed", range(3))
def test_required_calls_one_of_the_tools(chat, seed):
    fields = {"temperature": 1, "seed": seed, "max_tokens": 200}
    answer = chat(QUESTION, tools=[WEATHER, CLOCK], tool_choice="required", **fields)
    ChatCompletion.model_validate(answer.to_dict(), strict=True)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        check_call(call)


def test_named_calls_that_tool(chat):
    answer = chat("Tell me a joke.", tools=[CLOCK, WEATHER], tool_choice=NAMED, max_tokens=200)
    choice = answer.choices[0]
    assert choice.finish_reason == "stop", "as OpenAI answers for a named function"
    assert [call.function.name for call in choice.message.tool_calls] == ["get_weather"]
    check_call(choice.message.tool_calls[0])


def test_a_tool_without_parameters_gets_the_empty_object(chat):
    answer = chat("Hello", tools=[CLOCK], tool_choice="required", max_tokens=200)
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_time", {})


def test_not_parallel_is_one_call(chat):
    fields = {"tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 200}
    answer = chat(QUESTION, tools=[WEATHER, CLOCK], **fields)
    assert len(answer.choices[0].message.tool_calls) == 1


def test_only_allowed_tools_are_called(chat):
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    answer = chat(QUESTION, tools=[WEATHER, CLOCK], tool_choice=choice, max_tokens=200)
    assert {call.function.name for call in answer.choices[0].message.tool_calls} == {"get_time"}


def test_a_streamed_call_is_the_same_as_a_whole_one(chat):
    fields = {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 200}
    chat(QUESTION, **fields)  # from here on the prompt is in the prefix cache
    whole = chat(QUESTION, **fields).choices[0]
    content, calls, reason = joined(chat(QUESTION, stream=True, **fields))
    assert content == ""
    assert reason == whole.finish_reason == "tool_calls"
    assert [call["name"] for call in calls.values()] == [call.function.name for call in whole.message.tool_calls]
    assert [call["arguments"] for call in calls.values()] == [
        call.function.arguments for call in whole.message.tool_calls
    ]


def test_the_sdk_puts_a_streamed_call_together(client, model):
    messages = [{"role": "user", "content": QUESTION}]
    fields = {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 200, "temperature": 0}
    with client.chat.completions.stream(model=model, messages=messages, **fields) as stream:
        events = [event.type for event in stream]
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert "tool_calls.function.arguments.delta" in events
    assert "tool_calls.function.arguments.done" in events
    check_call(call)


@pytest.mark.parametrize("fields", [{"tools": [WEATHER]}, {"tools": [WEATHER], "tool_choice": "auto"}])
def test_auto_is_content_or_a_call(chat, fields):
    choice = chat(QUESTION, max_tokens=100, **fields).choices[0]
    assert choice.message.content or choice.message.tool_calls
    if choice.message.tool_calls:
        assert choice.finish_reason in ("tool_calls", "length")
    else:
        assert choice.finish_reason in ("stop", "length")


def test_none_calls_nothing(chat):
    choice = chat(QUESTION, tools=[WEATHER], tool_choice="none", max_tokens=60).choices[0]
    assert choice.message.tool_calls is None
    assert choice.message.content


def test_results_of_calls_are_read(chat):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "It is noon."},
    ]
    with_result = chat(messages=messages, tools=[CLOCK])
    without = chat(messages=messages[:1], tools=[CLOCK])
    assert with_result.usage.prompt_tokens > without.usage.prompt_tokens
    assert with_result.choices[0].message.content or with_result.choices[0].message.tool_calls


def function(**fields):
    return {"tools": [{"type": "function", "function": fields}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
        (function(), "tools[0].function.name"),
        (function(name="a b"), "tools[0].function.name"),
        (function(name="x" * 65), "tools[0].function.name"),
        (function(name="f", parameters={"type": "string"}), "tools[0].function.parameters.type"),
        ({"tools": [WEATHER], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": NAMED}, "tool_choice.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"extra_body": {"functions": [{"name": "f"}]}}, "functions"),
    ],
)
def test_errors_name_the_field(chat, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(**fields)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_messages_with_broken_calls_name_the_field(chat):
    call = {"id": "call_1", "type": "function", "function": {"name": "f"}}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]}]
    with pytest.raises(openai.BadRequestError) as caught:
        chat(messages=messages)
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


def test_reasoning_effort_is_harmless_for_a_model_that_does_not_think(chat):
    answer = chat(reasoning_effort="low", extra_body={"thinking_token_budget": 10})
    assert answer.choices[0].message.content
    with pytest.raises(openai.BadRequestError) as caught:
        chat(reasoning_effort="much")
    assert caught.value.param == "reasoning_effort"
