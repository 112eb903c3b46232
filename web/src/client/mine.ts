// One stream of all that happens in all conversations of the one who looks; it goes on exactly where it broke.
import type { PlacedEvent } from "../types/api";
import { connected, type StreamHooks } from "./connection";
import { ApiError } from "./errors";
import { send } from "./http";

/** A frame of whatever conversation; null: some were missed, and what comes next begins anew. */
export type Heard = PlacedEvent | null;

export type ReadMine = (signal: AbortSignal, hooks?: StreamHooks) => AsyncGenerator<Heard, void, undefined>;

/** Begins now: what came before is read elsewhere. */
export async function* mine(signal: AbortSignal, hooks: StreamHooks = {}): AsyncGenerator<Heard, void, undefined> {
  let held: string | undefined;
  while (!signal.aborted) {
    try {
      for await (const { frame, at } of connected({ connect: (over) => open(held, over) }, signal, hooks)) {
        if (frame.type !== "gap") {
          held = at;
          yield frame;
          continue;
        }
        held = frame.resume_from;
        if (frame.reason === "retention") yield null;
      }
      return;
    } catch (error) {
      // A place in another log, or one that is no longer known: what came between is lost to this stream.
      if (!(error instanceof ApiError) || held === undefined || ![400, 409, 410].includes(error.status)) throw error;
      held = undefined;
      yield null;
    }
  }
}

function open(after: string | undefined, signal: AbortSignal): Promise<Response> {
  const query = new URLSearchParams({ content: "true", errors: "frame" });
  if (after) query.set("after", after);
  return send(`/streams/me?${query.toString()}`, { signal, headers: { Accept: "text/event-stream" } });
}
