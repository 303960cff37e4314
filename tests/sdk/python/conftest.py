"""Fixtures: one server for all tests, and the official clients to talk to it."""

import os
import pathlib
import tempfile
import time

import openai
import pytest

import server as lla

# The tests talk to this machine only, whatever proxy the environment names.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


@pytest.fixture(scope="session")
def server():
    # A short path of our own: the path of a Unix socket may have about 100 characters.
    with tempfile.TemporaryDirectory(prefix="lla-sdk-") as folder:
        running = lla.Server(pathlib.Path(folder))
        yield running
        running.stop()


@pytest.fixture(scope="session")
def client(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def model():
    return lla.MODEL


@pytest.fixture
def chat(client, model):
    """`chat.completions.create` with what most tests want: this model, greedy, a short answer."""

    def create(content="Name three colours.", **fields):
        fields.setdefault("model", model)
        fields.setdefault("messages", [{"role": "user", "content": content}])
        fields.setdefault("temperature", 0)
        if "max_completion_tokens" not in fields:
            fields.setdefault("max_tokens", 24)
        return client.chat.completions.create(**fields)

    return create


def eventually(check, seconds=20):
    """Waits until `check()` is true; for what happens soon after an answer has gone out."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the server's log to the report of a failed test."""
    report = yield
    if report.failed and "server" in getattr(item, "funcargs", {}):
        report.sections.append(("server log", item.funcargs["server"].tail()))
    return report
