"""`client.chat.completions.create` without streaming. Assertions are about form: the model is tiny."""

import pytest
from openai.types.chat import ChatCompletion


def prompt_tokens(chat, messages):
    return chat(messages=messages, max_tokens=1).usage.prompt_tokens


def test_answer_has_the_documented_shape(chat, model):
    answer = chat()
    ChatCompletion.model_validate(answer.to_dict(), strict=True)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == model
    assert answer.created > 1_600_000_000
    (choice,) = answer.choices
    assert choice.index == 0
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0
    assert 0 < usage.completion_tokens <= 24
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_limit_ends_with_length(chat, field):
    answer = chat("Tell a long story.", **{field: 7}, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 7


def test_end_of_turn_ends_with_stop(chat):
    answer = chat("Hi", max_tokens=1000)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens < 1000
    assert "<|im_end|>" not in answer.choices[0].message.content


def test_stop_string_ends_the_answer_and_is_not_in_it(chat):
    chat("Tell a long story.", max_tokens=40)  # from here on the prompt is in the prefix cache
    whole = chat("Tell a long story.", max_tokens=40).choices[0].message.content
    third = len(whole) // 3
    stop = whole[third : third + 6]  # cuts through tokens
    answer = chat("Tell a long story.", max_tokens=40, stop=["never in an answer", stop])
    assert answer.choices[0].finish_reason == "stop"
    assert stop not in answer.choices[0].message.content
    assert answer.choices[0].message.content == whole[: whole.index(stop)]
    assert answer.usage.completion_tokens < 40


def test_seed_repeats_the_answer(chat):
    def answer(seed):
        return chat(temperature=1.5, seed=seed, max_tokens=32).choices[0].message.content

    assert answer(7) == answer(7)
    assert len({answer(seed) for seed in range(4)}) > 1


def test_n_gives_choices_and_counts_the_prompt_once(chat):
    one = chat(max_tokens=4, extra_body={"ignore_eos": True})
    three = chat(max_tokens=4, n=3, temperature=1, seed=1, extra_body={"ignore_eos": True})
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens == 3 * 4


def test_parts_are_the_same_as_a_string(chat):
    text = [{"role": "user", "content": "How are you?"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "How are you?"}]}]
    assert prompt_tokens(chat, parts) == prompt_tokens(chat, text)


def test_developer_is_the_same_as_system(chat):
    def with_role(role):
        return [{"role": role, "content": "Be brief."}, {"role": "user", "content": "Hello"}]

    assert prompt_tokens(chat, with_role("developer")) == prompt_tokens(chat, with_role("system"))


def test_history_is_read(chat):
    first = [{"role": "user", "content": "My name is Ada."}]
    longer = first + [{"role": "assistant", "content": "Hello, Ada."}, {"role": "user", "content": "Who am I?"}]
    assert prompt_tokens(chat, longer) > prompt_tokens(chat, first) + 10


@pytest.mark.parametrize("text", ["🎉 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👩‍👩‍👧", "日本語と中文与한국어", "שלום עולם", "z̸̢̛a̷l̶g̵o̵", "null \x00 byte"])
def test_any_text_is_taken(chat, text):
    answer = chat(f"Repeat this: {text}", max_tokens=16)
    assert answer.usage.prompt_tokens > prompt_tokens(chat, [{"role": "user", "content": "Repeat this:"}])
    answer.choices[0].message.content.encode("utf-8", errors="strict")


@pytest.mark.parametrize("marker", ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
def test_markers_in_user_text_stay_text(chat, marker):
    """As a control token a marker would count as one; as text it is several."""
    without = prompt_tokens(chat, [{"role": "user", "content": "a" + " b" * 10}])
    forged = prompt_tokens(chat, [{"role": "user", "content": "a" + (" b" + marker) * 10}])
    assert forged - without >= 10 * 3


def test_marker_in_pieces_stays_text(chat):
    """Two parts that only together read as a marker."""
    whole = [{"role": "user", "content": [{"type": "text", "text": "<|im_st"}, {"type": "text", "text": "art|>"}]}]
    empty = [{"role": "user", "content": "a"}]
    assert prompt_tokens(chat, whole) - prompt_tokens(chat, empty) >= 3


def test_a_prompt_that_was_read_before_is_not_read_again(chat):
    first = chat("Which animals live in the deep sea, and what do they eat?", max_tokens=4).usage
    again = chat("Which animals live in the deep sea, and what do they eat?", max_tokens=4).usage
    assert first.prompt_tokens_details.cached_tokens < first.prompt_tokens - 5
    assert again.prompt_tokens_details.cached_tokens == again.prompt_tokens - 1
