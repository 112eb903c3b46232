// The stream of a comparison as callbacks by model, for those who want no state of ours.
import type { MediaAttachment } from "../types/conversation";
import type { CompleteFrame, DoneFrame, PlacedEvent } from "../types/api";
import { attachmentOf } from "../state/turn";

export interface CompareCallbacks {
  onStart?: (model: string) => void;
  onChunk?: (model: string, content: string) => void;
  onReasoningChunk?: (model: string, content: string) => void;
  onMediaChunk?: (model: string, media: MediaAttachment) => void;
  onMediaFailed?: (model: string, message: string) => void;
  onDone?: (model: string, done: DoneFrame) => void;
  onError?: (message: string) => void;
  onComplete?: (metadata: CompleteFrame["metadata"]) => void;
}

/** Calls back for each frame until the stream ends; returns the media of each model in order of appearance. */
export async function processStreamEvents(
  frames: AsyncIterable<PlacedEvent>,
  callbacks: CompareCallbacks,
): Promise<Record<string, MediaAttachment[]>> {
  const mediaByModel: Record<string, MediaAttachment[]> = {};
  for await (const frame of frames) {
    switch (frame.type) {
      case "start":
        callbacks.onStart?.(frame.model);
        break;
      case "chunk":
        callbacks.onChunk?.(frame.model, frame.content);
        break;
      case "reasoning":
        callbacks.onReasoningChunk?.(frame.model, frame.content);
        break;
      case "media": {
        const media = attachmentOf(frame);
        (mediaByModel[frame.model] ??= []).push(media);
        callbacks.onMediaChunk?.(frame.model, media);
        break;
      }
      case "media_failed":
        callbacks.onMediaFailed?.(frame.model, frame.message);
        break;
      case "done":
        callbacks.onDone?.(frame.model, frame);
        break;
      case "error":
        callbacks.onError?.(frame.message);
        break;
      case "complete":
        callbacks.onComplete?.(frame.metadata);
        break;
      default:
        break;
    }
  }
  return mediaByModel;
}
