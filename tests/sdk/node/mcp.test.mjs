// The tools through the official MCP client for TypeScript, over both transports.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { Server, eventually } from "./server.mjs";

const CALLS = {
  classify: { text: "The invoice is wrong, please correct it.", labels: ["payments", "login", "delivery"] },
  extract: {
    text: "Order 4471 from Carmen Rubio, 3 lamps.",
    schema: {
      type: "object",
      properties: { order: { type: "integer" }, name: { type: "string", maxLength: 40 } },
      required: ["order", "name"],
      additionalProperties: false,
    },
  },
  summarize: { text: "The kitchen on floor 3 is closed on Monday because it is being cleaned.", max_words: 12 },
  rewrite: { text: "we need 10 boxes asap", style: "formal" },
};

let server;
before(async () => {
  server = await Server.start();
});
after(() => server?.stop());

const transports = {
  http: () => new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)),
  stdio: () =>
    new StdioClientTransport({
      command: process.env.LLA_BIN,
      args: ["mcp", "--config", join(server.home, "lla.toml"), "--url", server.url],
      env: { PATH: process.env.PATH, LLA_HOME: server.home },
    }),
};

for (const [name, transport] of Object.entries(transports)) {
  describe(`over ${name}`, () => {
    let client;
    before(async () => {
      client = new Client({ name: "sdk-test", version: "1" });
      await client.connect(transport());
    });
    after(() => client.close());

    test("every tool is listed and called", async () => {
      assert.equal(client.getServerVersion().name, "lla");
      const { tools } = await client.listTools();
      for (const [tool, args] of Object.entries(CALLS)) {
        const listed = tools.find(({ name }) => name === tool);
        assert.ok(listed?.outputSchema && listed.annotations.readOnlyHint, tool);
        // The client checks the result against the output schema.
        const result = await client.callTool({ name: tool, arguments: args });
        assert.ok(!result.isError, JSON.stringify(result));
        // Some tools need no model for texts as plain as these.
        assert.ok(result.structuredContent.usage.prompt_tokens > 0 || tool !== "classify", tool);
      }
    });

    test("progress is told", async () => {
      const told = [];
      // Long enough to take its time: this client forgets progress that arrives together with the result.
      const text = Array.from({ length: 3000 }, (_, day) => `On day ${day} the lamp of pier ${day % 7} was lit.`).join(" ");
      await client.callTool({ name: "summarize", arguments: { text } }, undefined, {
        onprogress: ({ progress }) => told.push(progress),
      });
      assert.ok(told.length > 0);
    });

    test("wrong arguments are a result that the model can read", async () => {
      const result = await client.callTool({ name: "rewrite", arguments: { text: "t" } });
      assert.ok(result.isError);
      assert.match(result.content[0].text, /'instruction'/);
    });

    test("a call that is aborted stops the engine", async () => {
      const text = "The lighthouse keeper wrote a letter. ".repeat(150);
      const abort = new AbortController();
      // What an object without properties holds is for the model to write.
      const schema = { type: "object", properties: { notes: { type: "object" } }, required: ["notes"] };
      const call = client.callTool({ name: "extract", arguments: { text, schema } }, undefined, {
        signal: abort.signal,
      });
      call.catch(() => {});
      await eventually(async () => (await server.health()).gateway.in_flight === 1);
      abort.abort();
      await assert.rejects(call);
      await eventually(async () => (await server.health()).gateway.in_flight === 0);
    });
  });
}
