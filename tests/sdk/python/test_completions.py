"""`client.completions`: the older interface."""

from openai.types import Completion


def test_answer_has_the_documented_shape(client, model):
    answer = client.completions.create(model=model, prompt="The sea is", max_tokens=8, temperature=0)
    Completion.model_validate(answer.to_dict(), strict=True)
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    assert answer.model == model
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_sixteen_tokens_unless_told_otherwise(client, model):
    answer = client.completions.create(model=model, prompt="The sea is", extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 16
    assert answer.choices[0].finish_reason == "length"


def test_streamed_is_the_same_as_whole(client, model):
    request = {"model": model, "prompt": "Once upon a time", "max_tokens": 24, "temperature": 0}
    # What the prefix cache holds changes the steps, and so the last bits: from here on it is the same.
    client.completions.create(**request)
    whole = client.completions.create(**request)
    chunks = list(client.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    texts = [chunk.choices[0] for chunk in chunks[:-1]]
    assert "".join(choice.text for choice in texts) == whole.choices[0].text
    assert texts[-1].finish_reason == whole.choices[0].finish_reason
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1


def test_several_prompts_give_choices_in_order(client, model):
    prompts = ["The sea is", "My cat is", "A list of colours:"]
    request = {"model": model, "max_tokens": 6, "temperature": 0, "extra_body": {"ignore_eos": True}}
    together = client.completions.create(prompt=prompts, **request)
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    alone = [client.completions.create(prompt=prompt, **request) for prompt in prompts]
    assert together.usage.prompt_tokens == sum(answer.usage.prompt_tokens for answer in alone)
    assert together.usage.completion_tokens == 3 * 6


def test_tokens_are_a_prompt(client, model):
    answer = client.completions.create(model=model, prompt=[504, 3057, 314], max_tokens=2, temperature=0)
    assert answer.usage.prompt_tokens == 3
