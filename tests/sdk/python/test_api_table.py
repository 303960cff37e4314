"""docs/api.md lists every field that the installed `openai` package can send."""

import pathlib
import re
import typing

import pytest
from openai.types import completion_create_params, decision_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

TABLES = pathlib.Path(__file__).parents[3] / "docs" / "api.md"
STATES = {"honoured", "accepted", "refused"}
BACKENDS = {"checked", "passed on", "gateway"}

ROUTES = {
    "/v1/chat/completions": chat_create_params.CompletionCreateParams,
    "/v1/completions": completion_create_params.CompletionCreateParams,
    "/v1/decisions": decision_create_params.DecisionCreateParams,
    "/v1/embeddings": embedding_create_params.EmbeddingCreateParams,
}


def rows(route):
    """Field -> (embedded engine, other backends) of the tables under a route's heading."""
    sections = re.split(r"^## ", TABLES.read_text(), flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"`POST {route}`"))
    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section, flags=re.MULTILINE)
    return {field: (engine, backends) for field, engine, backends in found}


def fields(params):
    """Names of a TypedDict, or of all members of a union of them."""
    members = typing.get_args(params) or (params,)
    return set().union(*(typing.get_type_hints(member) for member in members))


@pytest.mark.parametrize("route", ROUTES)
def test_every_field_of_the_package_is_in_the_table(route):
    missing = fields(ROUTES[route]) - set(rows(route))
    assert not missing, f"{route}: docs/api.md does not say what becomes of {sorted(missing)}"


@pytest.mark.parametrize("route", ROUTES)
def test_every_row_says_something(route):
    for field, (engine, backends) in rows(route).items():
        assert engine in STATES, field
        assert backends in BACKENDS, field
