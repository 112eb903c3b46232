// What `useChat` does with the live API: the real transport and the real state of @ai-sdk/react, without a page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";

const ORIGIN = process.env.POLYLOGUE_URL;
const API = `${ORIGIN}/api/ai-sdk/chat`;
const PATIENCE_MS = 60_000; // the machine may be busy
let made = 0;

function chat(model, { id = `chat-${process.pid}-${++made}`, fetch = globalThis.fetch, messages = [] } = {}) {
  const seen = { data: [], errors: [], finished: [] };
  const transport = new DefaultChatTransport({ api: API, body: { model }, fetch });
  const one = new Chat({
    id,
    messages,
    transport,
    onData: (part) => seen.data.push(structuredClone(part)),
    onError: (error) => seen.errors.push(error.message),
    onFinish: (end) => seen.finished.push(end),
  });
  return Object.assign(one, { seen, transport });
}

const kinds = (message) => message.parts.map((part) => part.type);
const textOf = (message) => message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
const reasoningOf = (message) =>
  message.parts.filter((part) => part.type === "reasoning").map((part) => part.text).join("");

async function until(condition, what) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function stored(conversationId, turns, responses = turns) {
  return until(async () => {
    const answer = await fetch(`${ORIGIN}/api/conversations/${conversationId}`);
    if (!answer.ok) return false;
    const found = await answer.json();
    const whole = found.turns.length === turns && answers(found).length === responses;
    return whole && found.turns.every((turn) => turn.finished) && found;
  }, `${turns} finished turns with ${responses} answers`);
}

const answers = (conversation) =>
  conversation.turns.flatMap((turn) => turn.messages.filter((message) => message.role === "assistant"));

test("text comes as it is written, and the chat goes on in the same conversation", async () => {
  const one = chat("sim/text:pace=0s");
  await one.sendMessage({ text: "Say something" });

  assert.deepEqual(one.seen.errors, []);
  assert.equal(one.status, "ready");
  const first = one.lastMessage;
  assert.equal(first.role, "assistant");
  assert.match(textOf(first), /You asked: “Say something”/);
  assert.ok(first.parts.every((part) => part.type !== "text" || part.state === "done"));
  assert.equal(first.metadata.model, "sim/text:pace=0s");
  assert.equal(first.metadata.finish_reason, "stop");
  assert.equal(one.seen.finished[0].finishReason, "stop");
  assert.ok(first.metadata.usage.total_tokens > 0);

  await one.sendMessage({ text: "And more" });
  const second = one.lastMessage;
  assert.equal(second.metadata.conversation_id, first.metadata.conversation_id);
  const conversation = await stored(first.metadata.conversation_id, 2);
  assert.deepEqual(
    answers(conversation).map((message) => [message.message_id, message.content]),
    [first, second].map((message) => [message.id, textOf(message)]),
  );
});

test("reasoning is a part of its own before the text", async () => {
  const one = chat("sim/reasoning:pace=0s");
  await one.sendMessage({ text: "Think" });

  assert.deepEqual(kinds(one.lastMessage), ["step-start", "reasoning", "text"]);
  assert.ok(reasoningOf(one.lastMessage) && textOf(one.lastMessage));
});

test("a picture is announced as data and comes as a file that opens", async () => {
  const one = chat("sim/painter:pace=0s");
  await one.sendMessage({ text: "A red circle" });

  const message = one.lastMessage;
  const file = message.parts.find((part) => part.type === "file");
  const medium = message.parts.find((part) => part.type === "data-media");
  assert.equal(file.mediaType, "image/png");
  assert.equal(medium.data.status, "stored");
  assert.deepEqual(
    one.seen.data.map((part) => part.data.status),
    ["uploading", "stored"],
  );
  assert.ok(kinds(message).indexOf("data-media") < kinds(message).indexOf("file"));
  // The lasting address is answered from the tables, which are a moment behind the stream.
  for (const url of [file.url, ORIGIN + file.providerMetadata.polylogue.content_path]) {
    const answer = await until(async () => {
      const tried = await fetch(url);
      return ![404, 409].includes(tried.status) && tried;
    }, "the file");
    const bytes = new Uint8Array(await answer.arrayBuffer());
    assert.equal(answer.status, 200);
    assert.equal(String.fromCharCode(...bytes.slice(1, 4)), "PNG");
  }
});

test("a picture that the user attaches reaches the model", async () => {
  const one = chat("sim/painter:pace=0s");
  const url = process.env.POLYLOGUE_PICTURE;
  await one.sendMessage({ text: "What is this?", files: [{ type: "file", mediaType: "image/png", url }] });

  assert.deepEqual(one.seen.errors, []);
  const conversation = await stored(one.lastMessage.metadata.conversation_id, 1);
  assert.equal(conversation.turns[0].messages[0].attachments.length, 1);
});

test("a failure is told as an error, and what came before it stays", async () => {
  const one = chat("sim/failing:pace=0s");
  await one.sendMessage({ text: "Try" });

  assert.equal(one.status, "error");
  assert.equal(one.seen.errors.length, 1);
  assert.ok(one.error.message && !one.error.message.startsWith("{"));
  assert.ok(textOf(one.lastMessage));
});

test("a refused request is told as an error", async () => {
  const one = chat("sim/unheard-of");
  await one.sendMessage({ text: "Try" });

  assert.equal(one.status, "error");
  assert.match(one.error.message, /no model named sim\/unheard-of/);
});

test("a closed connection stops nothing, the stop route does, and a new page sees the end", async () => {
  const one = chat("sim/text:pace=100ms:tokens=2000");
  const sending = one.sendMessage({ text: "Go on and on" });
  await until(() => one.lastMessage?.role === "assistant" && textOf(one.lastMessage), "the first words");
  const { id, metadata } = one.lastMessage;
  await one.stop();
  await sending;
  assert.equal(one.status, "ready");

  const page = chat("sim/text", { id: one.id, messages: one.messages.slice(0, 1) });
  const resuming = page.resumeStream();
  await until(() => page.lastMessage?.role === "assistant" && textOf(page.lastMessage).length > textOf(one.lastMessage).length, "more words");
  assert.equal(page.lastMessage.id, id);
  assert.ok(textOf(page.lastMessage).startsWith(textOf(one.lastMessage)), "it begins from the start");

  const stopped = await fetch(`${API}/${one.id}/stop`, { method: "POST" });
  assert.equal(stopped.status, 200);
  assert.equal((await stopped.json()).stopping, true);
  await resuming;
  assert.equal(page.status, "ready");
  assert.equal(page.lastMessage.metadata.finish_reason, "cancelled");
  const conversation = await stored(metadata.conversation_id, 1);
  assert.equal(answers(conversation)[0].status, "cancelled");
  assert.equal(answers(conversation)[0].content, textOf(page.lastMessage));
});

test("resuming an idle or unknown chat is nothing at all", async () => {
  const one = chat("sim/text:pace=0s");
  assert.equal((await fetch(`${API}/${one.id}/stream`)).status, 204);
  await one.sendMessage({ text: "Say something" });
  const before = structuredClone(one.messages);
  await one.resumeStream();
  assert.equal((await fetch(`${API}/${one.id}/stream`)).status, 204);
  assert.deepEqual(one.messages, before);
  assert.equal(one.status, "ready");
});

test("regenerating the last answer is another answer to the same turn", async () => {
  const one = chat("sim/text:pace=0s");
  await one.sendMessage({ text: "Say something" });
  const first = one.lastMessage;
  await one.regenerate();

  assert.deepEqual(one.seen.errors, []);
  assert.notEqual(one.lastMessage.id, first.id);
  assert.equal(one.messages.length, 2);
  const conversation = await stored(first.metadata.conversation_id, 1, 2);
  assert.deepEqual(
    answers(conversation).map((message) => message.message_id),
    [first.id, one.lastMessage.id],
  );
});

test("an edited message goes on in a branch that shares what came before", async () => {
  const one = chat("sim/text:pace=0s");
  await one.sendMessage({ text: "First" });
  await one.sendMessage({ text: "Second" });
  const before = one.lastMessage;
  await one.sendMessage({ text: "Another second", messageId: one.messages[2].id });

  assert.deepEqual(one.seen.errors, []);
  assert.equal(one.messages.length, 4);
  const { conversation_id } = one.lastMessage.metadata;
  assert.notEqual(conversation_id, before.metadata.conversation_id);
  const branch = await stored(conversation_id, 2);
  assert.deepEqual(
    branch.turns.map((turn) => turn.prompt),
    ["First", "Another second"],
  );
  await one.sendMessage({ text: "Third" });
  assert.equal(one.lastMessage.metadata.conversation_id, conversation_id);
});
