// The official conformance tool against our MCP endpoint: every scenario of both revisions with the tools,
// prompts and resources that it expects (`mcp_fixture`), and those that need none against the real server.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { Server } from "./server.mjs";

const TOOL = resolve("node_modules/@modelcontextprotocol/conformance/dist/index.js");
const EXPECTED = resolve("conformance-expected.yaml");
const FIXTURE = process.env.LLA_MCP_FIXTURE ?? join(dirname(process.env.LLA_BIN), "examples", "mcp_fixture");

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "lla-conformance-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

// Runs the tool; its own report is what a failure shows.
async function conforms(url, args) {
  const child = [TOOL, "server", "--url", url, "--output-dir", folder, ...args];
  const { code, output } = await new Promise((done) => {
    execFile(process.execPath, child, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      done({ code: error?.code ?? 0, output: stdout + stderr });
    });
  });
  const summary = output.slice(Math.max(0, output.indexOf("=== SUMMARY")));
  assert.equal(code, 0, summary);
  return summary;
}

describe("with everything that the tool expects of a server", () => {
  let fixture;
  let url;
  before(async () => {
    assert.ok(existsSync(FIXTURE), `${FIXTURE} is missing: cargo build -p lla-gateway --example mcp_fixture`);
    fixture = spawn(FIXTURE, { stdio: ["pipe", "pipe", "inherit"] });
    [url] = await once(createInterface(fixture.stdout), "line");
  });
  after(() => fixture?.stdin.end());

  for (const revision of ["2025-11-25", "2026-07-28"]) {
    test(`what revision ${revision} requires`, async () => {
      const summary = await conforms(url, ["--requirements", revision, "--expected-failures", EXPECTED]);
      assert.match(summary, /✓ tools-call-simple-text/, "something was run");
    });
  }
});

describe("the real server", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.stop());

  for (const [revision, scenarios] of Object.entries({
    "2025-11-25": ["server-initialize", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection"],
    "2026-07-28": ["tools-list", "http-header-validation", "dns-rebinding-protection"],
  })) {
    for (const scenario of scenarios) {
      test(`${scenario} of ${revision}`, () =>
        conforms(`${server.url}/mcp`, ["--scenario", scenario, "--spec-version", revision]));
    }
  }
});
