// Conversations, models and what a prompt would cost, as the API gives them.
import type { Conversation, ConversationSummary, Rating } from "../types/conversation";
import { json } from "./http";

export interface Model {
  id: string;
  name: string;
  input_modalities: string[];
  output_modalities: string[];
  context_length: number | null;
  /** Micro-dollars per million tokens. */
  prices: Record<string, number>;
}

export interface Estimate {
  total: { cost_usd_micros: number | null };
}

export interface Page {
  conversations: ConversationSummary[];
  next_cursor: string | null;
}

const of = (conversationId: string) => `/conversations/${encodeURIComponent(conversationId)}`;

export const conversations = (cursor: string | null) =>
  json<Page>(`/conversations?limit=30${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);

/** All that are pinned, however old. */
export async function pinnedConversations(): Promise<ConversationSummary[]> {
  const found: ConversationSummary[] = [];
  let cursor: string | null = null;
  do {
    const after: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page = await json<Page>(`/conversations?pinned=true&limit=100${after}`);
    found.push(...page.conversations);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

export const conversation = (id: string) => json<Conversation>(of(id));

export const models = async () => (await json<{ models: Model[] }>("/models")).models;

export const estimate = (body: unknown, signal: AbortSignal) =>
  json<Estimate>("/estimate", { method: "POST", body, signal });

export const cancel = (id: string, body: { response_ids?: string[] } = {}) =>
  json(`${of(id)}/cancel`, { method: "POST", body });

export const change = (id: string, body: { title?: string; pinned?: boolean }) =>
  json(of(id), { method: "PATCH", body });

export const removeConversation = (id: string, force: boolean) =>
  json(`${of(id)}${force ? "?force=true" : ""}`, { method: "DELETE" });

export const breakout = (id: string, model: string, turnId: string, key: string) =>
  json<{ conversation_id: string }>(`${of(id)}/breakout`, {
    method: "POST",
    body: { model, turn_id: turnId },
    headers: { "Idempotency-Key": key },
  });

export const rate = (id: string, turnId: string, body: Rating) =>
  json(`${of(id)}/turns/${encodeURIComponent(turnId)}/rating`, { method: "PUT", body });
