// Starts the real `lla serve` for a test file and stops it again; see server.py for its twin.
//
// The binary and the folder of models come from the environment (LLA_BIN, LLA_TEST_STORE; see
// scripts/test-sdk); everything else of the server lives in a temporary folder.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";

export const MODEL = "smollm2-135m-instruct";
// A slow machine may load the model late; nothing waits this long when all is well.
const START_MS = 180_000;
const STOP_MS = 60_000;

const config = (store) => `
[server]
keep_alive = "50ms"

[store]
path = ${JSON.stringify(store)}

# How many guesses are tried depends on the time that steps take, and the last bits of logits on how
# many tokens share a step: tests that compare texts do without them.
[models.smollm2-135m-instruct]
tier = "small"
drafts = false
`;

export class Server {
  static async start() {
    const server = new Server();
    server.home = mkdtempSync(join(tmpdir(), "lla-sdk-"));
    server.log = join(server.home, "server.log");
    const addressFile = join(server.home, "address");
    const configFile = join(server.home, "lla.toml");
    writeFileSync(configFile, config(process.env.LLA_TEST_STORE));
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LLA_")));
    const args = ["serve", "--listen", "127.0.0.1:0", "--address-file", addressFile, "--config", configFile];
    server.process = spawn(process.env.LLA_BIN, args, {
      env: { ...env, LLA_HOME: server.home },
      stdio: ["ignore", "ignore", openSync(server.log, "w")],
    });
    server.exited = once(server.process, "exit");
    try {
      await server.#until("its address", () => existsSync(addressFile));
      server.url = readFileSync(addressFile, "utf8").trim();
      await server.#until("/health/ready", async () => (await fetch(`${server.url}/health/ready`)).ok);
    } catch (error) {
      server.process.kill("SIGKILL");
      throw error;
    }
    return server;
  }

  client(options = {}) {
    return new OpenAI({ baseURL: `${this.url}/v1`, apiKey: "unused", maxRetries: 0, timeout: 120_000, ...options });
  }

  async health() {
    return (await fetch(`${this.url}/health`)).json();
  }

  // Asks the server to end, as a supervisor does, and checks that it ends well.
  async stop() {
    this.process.kill("SIGTERM");
    const exit = await Promise.race([this.exited, sleep(STOP_MS, "late", { ref: false })]);
    if (exit === "late") {
      this.process.kill("SIGKILL");
      assert.fail(`SIGTERM did not end the server\n${this.tail()}`);
    }
    assert.deepEqual(exit, [0, null], this.tail());
    rmSync(this.home, { recursive: true });
  }

  tail() {
    return readFileSync(this.log, "utf8").slice(-4000);
  }

  async #until(what, ready) {
    const deadline = Date.now() + START_MS;
    for (;;) {
      const done = await Promise.resolve()
        .then(ready)
        .catch(() => false);
      if (done) return;
      const { exitCode, signalCode } = this.process;
      assert.ok(exitCode === null && signalCode === null, `the server ended early\n${this.tail()}`);
      assert.ok(Date.now() < deadline, `the server did not show ${what}\n${this.tail()}`);
      await sleep(50);
    }
  }
}

// Waits until `check()` is true; for what happens soon after an answer has gone out.
export async function eventually(check, ms = 20_000) {
  const deadline = Date.now() + ms;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, "did not happen in time");
    await sleep(20);
  }
}
