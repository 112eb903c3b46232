import { describe, expect, it, vi } from "vitest";
import type { PlacedEvent } from "../types/api";
import { processStreamEvents } from "./compareService";

const of = (model: string, n: number) => ({
  id: String(n),
  conversation_id: "c",
  turn_id: "t",
  model,
  response_id: `t-${model}`,
});
const picture = (model: string, n: number): PlacedEvent => ({
  type: "media",
  ...of(model, n),
  media_id: `m${n}`,
  media_type: "image",
  url: `https://media.example.com/${n}`,
  format: "png",
  content_type: "image/png",
  size_bytes: 10,
  media_url: `https://media.example.com/${n}`,
  media_format: "png",
});

async function* stream(...frames: PlacedEvent[]) {
  for (const frame of frames) yield await Promise.resolve(frame);
}

describe("processStreamEvents", () => {
  it("gives each medium to onMediaChunk with its model, and collects them by model", async () => {
    const onMediaChunk = vi.fn();
    const collected = await processStreamEvents(stream(picture("a", 1), picture("b", 2), picture("a", 3)), {
      onMediaChunk,
    });
    expect(onMediaChunk.mock.calls.map(([model]: unknown[]) => model)).toEqual(["a", "b", "a"]);
    expect(collected.a?.map((medium) => medium.media_id)).toEqual(["m1", "m3"]);
    expect(collected.b?.[0]).toMatchObject({ url: "https://media.example.com/2", type: "image", format: "png" });
  });

  it("tells text, failures and the end by model", async () => {
    const said: string[] = [];
    await processStreamEvents(
      stream(
        { type: "chunk", content: "hi", ...of("a", 1) },
        { type: "media_failed", media_id: "m", media_type: "image", reason: "too_large", message: "Too large.", ...of("a", 2) },
        { type: "done", error: false, finish_reason: "stop", ...of("a", 3) },
      ),
      {
        onChunk: (model, content) => said.push(`${model}: ${content}`),
        onMediaFailed: (model, message) => said.push(`${model}: ${message}`),
        onDone: (model) => said.push(`${model} done`),
      },
    );
    expect(said).toEqual(["a: hi", "a: Too large.", "a done"]);
  });
});
