"""`client.models`: what a caller may name."""

import openai
import pytest
from openai.types import Model


def test_list_shows_the_model(client, model):
    listed = client.models.list()
    assert listed.object == "list"
    assert model in [entry.id for entry in listed.data]
    for entry in listed.data:
        Model.model_validate(entry.to_dict(), strict=True)
        assert entry.object == "model"
        assert entry.owned_by
        assert entry.created > 0


def test_retrieve_is_what_list_shows(client, model):
    listed = {entry.id: entry for entry in client.models.list().data}
    one = client.models.retrieve(model)
    assert one.id == model
    assert one.created == listed[model].created


def test_tier_names_stand_for_a_model(client, chat):
    named = {entry.id for entry in client.models.list().data}
    for name in ("small", "auto"):
        assert chat(model=name, max_tokens=1).model in named


def test_retrieve_unknown(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-99")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert caught.value.type == "invalid_request_error"
