// What is kept over all conversations: media, words, sums.
import type { MediaAttachment } from "../types/conversation";
import { json } from "./http";

export interface GalleryItem extends MediaAttachment {
  media_id: string;
  status: string;
  conversation_id: string;
  turn_id: string;
  model_id: string | null;
  /** What was asked for, in a line; null while the turn is not known yet. */
  prompt: string | null;
  created_at: string;
}

export interface GalleryFilter {
  type?: string;
  model?: string;
  from?: string;
  to?: string;
}

const query = (values: object) => {
  const pairs = Object.entries(values).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return new URLSearchParams(pairs).toString();
};

export const gallery = (filter: GalleryFilter, cursor: string | null) =>
  json<{ media: GalleryItem[]; next_cursor: string | null }>(`/media?${query({ ...filter, cursor: cursor ?? "" })}`);

export interface SearchHit {
  message_id: string;
  conversation_id: string;
  title: string;
  turn_id: string;
  role: "user" | "assistant";
  model_id: string | null;
  created_at: string;
  segments: { text: string; hit: boolean }[];
}

export const search = (q: string, role: string, offset: number) =>
  json<{ results: SearchHit[]; next_offset: number | null }>(`/search?${query({ q, role, offset: String(offset) })}`);

export interface UsageRow {
  day?: string;
  model?: string;
  type?: string;
  stored: number;
  failed: number;
  size_bytes: number;
  cost_usd_micros: number;
  latency_p50_ms: number | null;
  latency_p95_ms: number | null;
}

export const usage = (by: string, from: string, to: string) =>
  json<{ rows: UsageRow[]; total: UsageRow; from: string; to: string }>(`/usage?${query({ by, from, to })}`);

export interface ModelStats {
  model: string;
  answers: number;
  failures: number;
  cancellations: number;
  cost_usd_micros: number;
  first_token_p50_ms: number | null;
  first_token_p95_ms: number | null;
  tokens_per_second: number | null;
  contests: number;
  wins: number;
  win_rate: number | null;
  thumbs_up: number;
  thumbs_down: number;
}

export const modelStats = (from: string, to: string) =>
  json<{ rows: ModelStats[] }>(`/stats/models?${query({ from, to })}`);
