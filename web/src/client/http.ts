// One way to ask the API: same origin unless told, credentials by cookie, errors as ApiError or UnreachableError.
import { refusal, UnreachableError } from "./errors";

export const BASE = "/api/v1";

export interface Asked {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
  /** Where the API is, for a page of another origin. */
  base?: string;
}

/** Sends a request. Raises UnreachableError where nobody answered; an abort is passed on as it is. */
export async function send(path: string, asked: Asked = {}): Promise<Response> {
  const headers = new Headers(asked.headers);
  const init: RequestInit = { method: asked.method ?? "GET", headers, credentials: "same-origin" };
  if (asked.body !== undefined) {
    headers.set("Content-Type", "application/json");
    init.body = JSON.stringify(asked.body);
  }
  if (asked.signal) init.signal = asked.signal;
  try {
    return await fetch((asked.base ?? BASE) + path, init);
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    throw new UnreachableError();
  }
}

/** The JSON of a success; undefined for an answer without a body. Raises ApiError, UnreachableError. */
export async function json<T>(path: string, asked: Asked = {}): Promise<T> {
  const response = await send(path, asked);
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  // The API's own tests hold every answer against its OpenAPI document.
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
