// What went wrong with something that the reader did, in words that say what to do.
import { UnreachableError } from "../../client/errors";

export function problemOf(error: unknown): string {
  // Unlike a prompt, which is sent again by itself, a press of a button is not.
  if (error instanceof UnreachableError) return "The server does not answer; nothing was changed. Try again in a moment.";
  return error instanceof Error ? error.message : "That did not work; try again.";
}

const AGAIN_MS = 5_000; // soon enough for who waits, and little for a server that comes back to many

/** When to look again: what could not be asked for is asked for until the server is back. */
export const againMs = (error: Error | null): number | false => (error instanceof UnreachableError ? AGAIN_MS : false);
