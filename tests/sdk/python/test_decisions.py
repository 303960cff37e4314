"""`client.decisions`: typed questions, answered with probabilities."""

import json
import time

import openai
import pytest
from openai.types import Decision

TEXT = "The parcel came two weeks late, the box was torn, and nobody answers my mails. I want my money back."
QUESTIONS = [
    {"type": "predicate", "name": "refund", "instructions": "The customer wants money back."},
    {
        "type": "choice",
        "name": "team",
        "instructions": "Which team should handle this?",
        "choices": [
            {"value": "payments", "description": "charges, invoices, refunds"},
            {"value": "delivery", "description": "parcels and couriers"},
            {"value": True, "description": "nobody"},
        ],
    },
    {
        "type": "score",
        "instructions": [{"type": "input_text", "text": "How angry is the customer?"}],
        "levels": [{"label": "calm"}, {"label": "annoyed"}, {"label": "furious", "description": "shouts"}],
    },
]


@pytest.fixture
def decide(client, model):
    def create(input=TEXT, questions=QUESTIONS, **fields):
        return client.decisions.create(model=model, input=input, questions=questions, **fields)

    return create


def test_all_three_types_are_parsed_in_order(decide, model):
    decision = decide()
    Decision.model_validate(decision.to_dict(), strict=True)
    assert decision.model == model
    refund, team, anger = decision.answers
    assert [answer.type for answer in decision.answers] == ["predicate", "choice", "score"]
    assert [answer.name for answer in decision.answers] == ["refund", "team", None]
    assert 0 < refund.probability < 1
    assert [choice.value for choice in team.probabilities] == ["payments", "delivery", True]
    assert sum(choice.probability for choice in team.probabilities) == pytest.approx(1)
    best = max(team.probabilities, key=lambda choice: choice.probability)
    assert team.choice == best.value and type(team.choice) is type(best.value)
    assert [level.label for level in anger.probabilities] == ["calm", "annoyed", "furious"]
    expected = sum(level.value * level.probability for level in anger.probabilities)
    assert anger.score == pytest.approx(expected)
    for answer in (team, anger):
        assert 0 <= answer.confidence <= 1


def test_usage_counts_and_a_second_call_comes_from_the_cache(decide):
    text = f"{TEXT} This is case {time.time_ns()}. " + "It goes on and on. " * 20
    first, again = decide(input=text).usage, decide(input=text).usage
    assert first.total_tokens == first.input_tokens + first.output_tokens
    assert again.input_tokens == first.input_tokens
    # The three questions share the text, so most of it is cached even the first time.
    assert again.input_tokens_details.cached_tokens > first.input_tokens_details.cached_tokens
    assert again.input_tokens_details.cached_tokens > 0.8 * again.input_tokens


def test_a_conversation_is_an_input(decide):
    decision = decide(
        input=[
            {"role": "system", "content": "You help customers.", "type": "message"},
            {"role": "user", "content": [{"type": "input_text", "text": TEXT}], "type": "message"},
            {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "not delivered"},
        ]
    )
    assert len(decision.answers) == 3


def test_four_hundred_questions(decide):
    questions = [{"type": "predicate", "instructions": f"It is number {number}."} for number in range(400)]
    decision = decide(input="number 7", questions=questions, extra_body={"calibrate": False})
    assert len(decision.answers) == 400
    with pytest.raises(openai.BadRequestError) as raised:
        decide(questions=[*questions, questions[0]])
    assert raised.value.body["param"] == "questions"


def test_a_threshold_marks_answers(decide):
    decision = decide(extra_body={"abstain_below": 1.0})
    assert all(answer.abstained for answer in decision.answers)
    assert all(answer.measured and 0 < answer.label_mass <= 1 for answer in decision.answers)


def test_too_long_an_input_is_refused_with_the_numbers(decide):
    with pytest.raises(openai.BadRequestError) as raised:
        decide(input="word " * 9000)
    assert raised.value.code == "context_length_exceeded"
    assert raised.value.body["param"] == "input"
    assert "8192" in raised.value.body["message"]


def test_systemone_answers_under_ids(server, model):
    request = {
        "model": model,
        "state": {"ticket": TEXT},
        "questions": {
            "team": {
                "type": "choice",
                "instructions": "Which team should handle this?",
                "criteria": {"payments": "charges and refunds", "delivery": None},
            },
            "urgent": {"type": "noul", "instructions": "Is it urgent?"},
            "mood": {"type": "score", "instructions": "How upset?", "criteria": ["calm", "annoyed", "furious"]},
        },
    }
    status, _, body = server.post("/v1/systemone", json.dumps(request).encode())
    answer = json.loads(body)
    assert status == 200, answer
    assert list(answer["answers"]) == ["team", "urgent", "mood"]
    assert answer["answers"]["team"]["choice"] in ("payments", "delivery")
    assert set(answer["answers"]["mood"]["legend"]) == {"0", "1", "2"}
    assert 0 < answer["answers"]["urgent"]["noul"] < 1
    for diagnostics in answer["diagnostics"].values():
        assert 0 < diagnostics["label_mass"] <= 1
        assert isinstance(diagnostics["argmax_is_label"], bool)
    assert answer["usage"]["input_tokens"] > 0
