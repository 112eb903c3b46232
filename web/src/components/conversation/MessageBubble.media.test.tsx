import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { unheard, type Answer, type Medium } from "../../state/turn";
import { MessageBubble } from "./MessageBubble";

afterEach(cleanup);

const medium = (mediaId: string, type: Medium["type"]): Medium => ({
  mediaId,
  type,
  phase: "ready",
  attachment: { url: `https://media.example.com/${mediaId}`, type, format: "x", media_id: mediaId },
  width: null,
  height: null,
  sizeBytes: null,
  reason: null,
});

const show = (more: Partial<Answer>) =>
  render(
    <QueryClientProvider client={new QueryClient()}>
      <MessageBubble answer={{ ...unheard({ response_id: "r", model: "m" }), ...more }} prompt="A sea" />
    </QueryClientProvider>,
  ).container;

describe("MessageBubble", () => {
  it("shows all media of an answer below its text, in order of appearance", () => {
    const made = show({ text: "Here:", media: [medium("a", "image"), medium("b", "audio"), medium("c", "video")] });
    const kinds = [...made.querySelectorAll(".message-media > *")].map((one) => one.className.split(" ")[1]);
    expect(kinds).toEqual(["image-container", "audio-container", "video-container"]);
    const text = screen.getByText("Here:");
    const media = made.querySelector(".message-media");
    expect(media && text.compareDocumentPosition(media) & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();
  });

  it("leads from a sound to its words, where the model tells them", () => {
    const made = show({ text: "The words.", media: [medium("b", "audio")] });
    const words = made.querySelector("audio")?.getAttribute("aria-details") ?? "";
    expect(document.getElementById(words)?.textContent).toBe("The words.");
    cleanup();
    expect(show({ media: [medium("b", "audio")] }).querySelector("[aria-details], .words")).toBeNull();
  });

  it("has no place for media where there is none", () => {
    expect(show({ text: "Only text" }).querySelector(".message-media")).toBeNull();
  });

  it("folds the reasoning away", () => {
    expect(show({ reasoning: "because", text: "so" }).querySelector("details")?.open).toBe(false);
  });

  it("keeps what a failed model had said", () => {
    const made = show({ phase: "failed", text: "half", message: "The provider broke off." });
    expect(made.textContent).toContain("half");
    expect(made.textContent).toContain("The provider broke off.");
  });
});
