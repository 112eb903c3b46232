import { describe, expect, it } from "vitest";
import type { Conversation, ConversationMessage, ConversationTurn } from "../types/conversation";
import { fromStored, lastModels, lookAgainMs, merged, sentAlong, toFollow } from "./stored";
import { EMPTY, unheard, type Turn } from "./turn";

const message = (status: string, given: Partial<ConversationMessage> = {}): ConversationMessage => ({
  message_id: "t-1",
  role: "assistant",
  model_id: "m",
  content: "",
  reasoning: null,
  status,
  finish_reason: null,
  error_message: null,
  retryable: null,
  usage: null,
  cost_usd_micros: null,
  time_to_first_token_ms: null,
  duration_ms: null,
  created_at: "2026-01-01T00:00:00Z",
  completed_at: null,
  ...given,
});
const turn = (finished: boolean, ...messages: ConversationMessage[]): ConversationTurn => ({
  turn_id: "t",
  prompt: "p",
  system: null,
  round: 1,
  finished,
  created_at: null,
  messages,
});
const conversation = (...turns: ConversationTurn[]): Conversation => ({
  conversation_id: "c",
  title: "",
  pinned: false,
  status: "idle",
  turn_running: false,
  created_at: "",
  updated_at: "",
  turns,
});
const live: Turn = {
  ...EMPTY,
  turnId: "t",
  conversationId: "c",
  complete: true,
  answers: [{ ...unheard({ response_id: "t-1", model: "m" }), phase: "finished", text: "said" }],
};

describe("a stored turn", () => {
  it("does not take the place of what was read while its answers are still on their way to the tables", () => {
    const behind = fromStored(turn(true, message("running")), "c");
    expect(behind.complete).toBe(false);
    expect(merged([behind], live)).toEqual([live]);
  });

  it("does not take the place of what was read while a medium of it is not in the tables at all", () => {
    const picture = { url: "u", type: "image", format: "png", media_id: "i", status: "stored" } as const;
    const whole = fromStored(turn(true, message("completed", { content: "said", media_urls: [picture] })), "c");
    const painted: Turn = {
      ...live,
      answers: live.answers.map((answer) => ({ ...answer, media: whole.answers[0]?.media ?? [] })),
    };
    const behind = fromStored(turn(true, message("completed", { content: "said" })), "c");
    expect(behind.complete).toBe(true);
    expect(merged([behind], painted)).toEqual([painted]);
    expect(merged([whole], painted)).toEqual([whole]);
  });

  it("does not take the place of what was read while its media are still on their way to the tables", () => {
    const medium = { url: "", type: "image", format: "png", media_id: "i", status: "pending" } as const;
    const behind = fromStored(turn(true, message("completed", { media_urls: [medium] })), "c");
    expect(merged([behind], live)).toEqual([live]);
  });

  it("counts once the tables have the whole of it", () => {
    const whole = fromStored(turn(true, message("completed", { content: "said" })), "c");
    expect(merged([whole], live)).toEqual([whole]);
  });

  it("is looked at again until the tables have the whole of it", () => {
    expect(lookAgainMs(undefined)).toBe(false);
    expect(lookAgainMs(conversation())).toBe(1_000);
    expect(lookAgainMs(conversation(turn(false, message("running"))))).toBe(5_000);
    expect(lookAgainMs(conversation(turn(true, message("running"))))).toBe(5_000);
    expect(lookAgainMs(conversation(turn(true)))).toBe(5_000);
    expect(lookAgainMs(conversation(turn(true, message("completed"))))).toBe(false);
    expect(lookAgainMs(conversation({ ...turn(true), gone: true }))).toBe(false);
  });

  it("shows a medium whose outcome the tables have not heard of, and is not whole until they have", () => {
    const waiting = message("completed", { pending_media: [{ media_id: "i", type: "image", status: "uploading" }] });
    const behind = fromStored(turn(true, waiting), "c");
    expect(behind.complete).toBe(false);
    expect(behind.answers[0]?.media).toMatchObject([{ mediaId: "i", type: "image", phase: "pending" }]);
    expect(toFollow([fromStored(turn(true, message("completed")), "c"), behind])).toBe(behind);
  });

  it("is looked at again for a medium alone, less often with time, and also where it is inherited", () => {
    const waiting = message("completed", { pending_media: [{ media_id: "i", type: "image", status: "uploading" }] });
    expect(lookAgainMs(conversation(turn(true, waiting)))).toBe(5_000);
    expect(lookAgainMs(conversation(turn(true, waiting)), 100)).toBe(30_000);
    expect(lookAgainMs(conversation(turn(true, waiting), turn(false, message("running"))), 100)).toBe(5_000);
    expect(lookAgainMs(conversation({ ...turn(true, waiting), inherited: true }))).toBe(5_000);
    expect(lookAgainMs(conversation({ ...turn(false), inherited: true }))).toBe(false);
  });

  it("tells what its prompt was sent with, and whom a follow-up goes to", () => {
    const picture = { key: "private/p", url: "u", content_type: "image/png", size_bytes: 1 };
    const asked = message("completed", { role: "user", model_id: null, attachments: [picture] });
    const plain = turn(true, message("completed"), message("completed", { model_id: "n" }), message("failed"));
    const stored = conversation({ ...turn(true, asked), turn_id: "t0", system: "Be brief." }, plain);
    expect([...sentAlong(stored)]).toEqual([["t0", { pictures: [picture], system: "Be brief." }]]);
    expect(lastModels(stored.turns.map((one) => fromStored(one, "c")))).toEqual(["m", "n"]);
    expect(lastModels([])).toEqual([]);
  });

  it("is followed while its models speak rather than one that only waits for a medium", () => {
    const media = [{ media_id: "i", type: "image", status: "uploading" } as const];
    const retried = fromStored({ ...turn(true, message("completed", { pending_media: media })), turn_id: "old" }, "c");
    const running = fromStored({ ...turn(false, message("running")), turn_id: "now" }, "c");
    const begun = fromStored({ ...turn(false), turn_id: "begun" }, "c");
    expect(toFollow([retried, running])).toBe(running);
    expect(toFollow([running, retried])).toBe(running);
    expect(toFollow([begun, retried])).toBe(begun);
    expect(toFollow([retried])).toBe(retried);
    expect(toFollow([])).toBe(undefined);
  });
});
