"""The tools through the official MCP client: both transports, this revision and those before it."""

import asyncio
import contextlib
import os

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import ListRootsResult, Root

CALLS = {
    "classify": {"text": "The invoice is wrong, please correct it.", "labels": ["payments", "login", "delivery"]},
    "extract": {
        "text": "Order 4471 from Carmen Rubio, 3 lamps.",
        "schema": {
            "type": "object",
            "properties": {"order": {"type": "integer"}, "name": {"type": "string", "maxLength": 40}},
            "required": ["order", "name"],
            "additionalProperties": False,
        },
    },
    "summarize": {"text": "The kitchen on floor 3 is closed on Monday because it is being cleaned.", "max_words": 12},
    "rewrite": {"text": "we need 10 boxes asap", "style": "formal"},
}


def stdio(server, *arguments):
    """`lla mcp` as a child process that has `server` do the work."""
    environment = {"LLA_HOME": str(server.home), "PATH": os.environ["PATH"]}
    command = ["mcp", "--config", str(server.home / "lla.toml"), "--url", server.url, *arguments]
    return StdioServerParameters(command=os.environ["LLA_BIN"], args=command, env=environment, cwd=str(server.home))


def run(target, talk, **options):
    async def main():
        async with Client(target, **options) as client:
            return await talk(client)

    return asyncio.run(asyncio.wait_for(main(), 240))


@pytest.fixture(params=["http", "stdio"])
def target(request, server):
    return server.url + "/mcp" if request.param == "http" else stdio(server)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_is_listed_and_called(target, mode):
    async def talk(client):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(CALLS) <= set(tools)
        for name, arguments in CALLS.items():
            assert tools[name].title and tools[name].description and tools[name].output_schema
            assert tools[name].annotations.read_only_hint is True
            # The client checks the result against the output schema.
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result.content
            # Some tools need no model for texts as plain as these.
            worked = result.structured_content["usage"]["prompt_tokens"] > 0
            assert worked == bool(result.structured_content["model"]), result.structured_content
            assert worked or name != "classify"
        return client.server_info

    assert run(target, talk, mode=mode).name == "lla"


def test_wrong_arguments_are_a_result_that_the_model_can_read(target):
    async def talk(client):
        return await client.call_tool("summarize", {"text": "t", "words": 3})

    result = run(target, talk)
    assert result.is_error
    assert "'words'" in result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_progress_is_told(target, mode):
    told = []

    async def note(progress, total, message):
        told.append((progress, total, message))

    async def talk(client):
        return await client.call_tool("summarize", CALLS["summarize"], progress_callback=note)

    assert not run(target, talk, mode=mode).is_error
    assert told
    assert [step[0] for step in told] == sorted({step[0] for step in told})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_files_inside_the_clients_roots_can_be_named(server, tmp_path, mode):
    (tmp_path / "mail.txt").write_text("Please pay invoice 12 by Friday.")
    (server.home / "outside.txt").write_text("secret")

    async def roots(context):
        return ListRootsResult(roots=[Root(uri=tmp_path.as_uri())])

    async def talk(client):
        inside = await client.call_tool("summarize", {"path": "mail.txt"})
        outside = await client.call_tool("summarize", {"path": str(server.home / "outside.txt")})
        return inside, outside

    inside, outside = run(stdio(server), talk, mode=mode, list_roots_callback=roots)
    assert not inside.is_error, inside.content
    assert inside.structured_content["files_read"] == [{"path": "mail.txt", "bytes": 32}]
    assert outside.is_error
    assert "path_outside_allowed_folders" in outside.content[0].text


def test_over_http_no_file_can_be_named_unless_the_configuration_allows_it(server):
    async def talk(client):
        return await client.call_tool("summarize", {"path": "/etc/hostname"})

    result = run(server.url + "/mcp", talk)
    assert result.is_error
    assert "no_allowed_folder" in result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_that_is_given_up_stops_the_engine(server, mode):
    # What an object without properties holds is for the model to write.
    schema = {"type": "object", "properties": {"notes": {"type": "object"}}, "required": ["notes"]}
    long = {"text": "The lighthouse keeper wrote a letter. " * 150, "schema": schema}

    async def talk(client):
        call = asyncio.create_task(client.call_tool("extract", long))
        while server.engine_metric("vllm:num_requests_running") < 1:
            await asyncio.sleep(0.02)
            assert not call.done()
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        while server.engine_metric("vllm:num_requests_running") >= 1:
            await asyncio.sleep(0.02)

    run(stdio(server), talk, mode=mode)
    run(server.url + "/mcp", talk, mode=mode)


def test_without_a_gateway_the_engine_is_started_here(server):
    environment = {"LLA_HOME": str(server.home), "PATH": os.environ["PATH"], "LLA_SERVER__LISTEN": "127.0.0.1:1"}
    command = ["mcp", "--config", str(server.home / "lla.toml")]
    alone = StdioServerParameters(command=os.environ["LLA_BIN"], args=command, env=environment)

    async def talk(client):
        return await client.call_tool("classify", CALLS["classify"])

    result = run(alone, talk)
    assert not result.is_error, result.content
    assert result.structured_content["label"] in CALLS["classify"]["labels"]
