// Stored media by id: their data with fresh addresses, and their removal.
import type { MediaAttachment } from "../types/conversation";
import { json } from "./http";

/** The medium with addresses signed now. Raises ApiError (410 where it is gone), UnreachableError. */
export function renew(mediaId: string): Promise<MediaAttachment> {
  return json<MediaAttachment>(`/media/${encodeURIComponent(mediaId)}`);
}

export function remove(mediaId: string): Promise<void> {
  return json(`/media/${encodeURIComponent(mediaId)}`, { method: "DELETE" });
}
