// OpenAI's own package against the live API.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const ORIGIN = process.env.POLYLOGUE_URL;
const PATIENCE_MS = 60_000; // the machine may be busy
const client = new OpenAI({ baseURL: `${ORIGIN}/v1`, apiKey: "none", maxRetries: 0, timeout: PATIENCE_MS });
const messages = [{ role: "user", content: "Say something" }];

test("an answer at once", async () => {
  const answer = await client.chat.completions.create({ model: "sim/text:pace=0s", messages });

  assert.match(answer.choices[0].message.content, /You asked: “Say something”/);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
});

test("an answer as it comes, with usage at its end, is the same as at once", async () => {
  const model = "sim/text:pace=0s";
  const runner = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  const streamed = await runner.finalChatCompletion();
  const whole = await client.chat.completions.create({ model, messages });

  assert.equal(streamed.choices[0].message.content, whole.choices[0].message.content);
  assert.equal(streamed.choices[0].finish_reason, "stop");
  assert.equal(streamed.usage.total_tokens, whole.usage.total_tokens);
});

test("an abort cancels the turn", async () => {
  const { data: stream, response } = await client.chat.completions
    .create({ model: "sim/text:pace=100ms:tokens=2000", messages, stream: true })
    .withResponse();
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  stream.controller.abort();

  const conversation = response.headers.get("x-conversation-id");
  const end = Date.now() + PATIENCE_MS;
  let status = "";
  while (status !== "cancelled" && Date.now() < end) {
    const answer = await fetch(`${ORIGIN}/api/conversations/${conversation}`);
    const turns = answer.ok ? (await answer.json()).turns : [];
    status = turns[0]?.messages.find((message) => message.role === "assistant")?.status ?? "";
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.equal(status, "cancelled");
});

test("errors are of the classes that its users catch", async () => {
  await assert.rejects(client.chat.completions.create({ model: "sim/unheard-of", messages }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.equal(error.param, "model");
    return true;
  });
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
  await assert.rejects(client.chat.completions.create({ model: "sim/text", messages, tools }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.match(error.message, /Tools are not supported/);
    return true;
  });
});

test("the models are listed", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);

  assert.ok(names.includes("sim/painter"));
  assert.equal((await client.models.retrieve("sim/painter")).id, "sim/painter");
});
