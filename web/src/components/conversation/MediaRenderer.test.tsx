import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Medium } from "../../state/turn";
import type { MediaAttachment, MediaKind } from "../../types/conversation";
import { MediaRenderer } from "./MediaRenderer";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const attachment = (type: MediaKind, more: Partial<MediaAttachment> = {}): MediaAttachment => ({
  url: `https://media.example.com/${type}`,
  type,
  format: "png",
  size_bytes: 6000,
  media_id: "m1",
  ...more,
});

const medium = (type: MediaKind, more: Partial<Medium> = {}): Medium => ({
  mediaId: "m1",
  type,
  phase: "ready",
  attachment: attachment(type),
  width: 1024,
  height: 512,
  sizeBytes: 6000,
  reason: null,
  ...more,
});

const show = (one: Medium, onOpen?: (medium: Medium) => void) =>
  render(
    <QueryClientProvider client={new QueryClient()}>
      <MediaRenderer medium={one} alt="a blue square" {...(onOpen ? { onOpen } : {})} />
    </QueryClientProvider>,
  ).container;

describe("MediaRenderer", () => {
  it("shows a picture lazily, in a place that is kept for it, described by the prompt", () => {
    const made = show(medium("image"));
    const picture = screen.getByRole("img", { name: "a blue square" });
    expect(picture.getAttribute("loading")).toBe("lazy");
    expect(picture.style.aspectRatio).toBe("1024 / 512");
    expect(made.querySelector(".media-container.image-container")).not.toBeNull();
  });

  it("prefers the smaller rendition of a picture", () => {
    const webp = { name: "webp", url: "https://media.example.com/w", content_type: "image/webp", size_bytes: 1 };
    show(medium("image", { attachment: attachment("image", { renditions: [webp] }) }));
    expect(screen.getByRole<HTMLImageElement>("img").src).toBe(webp.url);
  });

  it("shows the thumbnail in the picture's place until it is loaded, and lets the browser take the size that fits", () => {
    const of = (name: string, width: number) => ({
      name,
      url: `https://media.example.com/${name}?signed=a,b`,
      content_type: "image/webp",
      size_bytes: 1,
      width,
    });
    const renditions = [of("webp", 1280), of("thumbnail", 320)];
    show(medium("image", { attachment: attachment("image", { renditions }) }));
    const picture = screen.getByRole<HTMLImageElement>("img");
    expect(picture.srcset).toBe(
      "https://media.example.com/thumbnail?signed=a,b 320w, https://media.example.com/webp?signed=a,b 1280w",
    );
    expect(picture.sizes).toMatch(/^auto, /);
    expect(picture.style.backgroundImage).toContain("https://media.example.com/thumbnail");
    fireEvent.load(picture);
    expect(picture.style.backgroundImage).toBe("");
  });

  it("leaves a picture that moves as it is: its thumbnail stands still", () => {
    const still = { name: "thumbnail", url: "https://media.example.com/s", content_type: "image/webp", size_bytes: 1, width: 320 };
    show(medium("image", { attachment: attachment("image", { format: "gif", renditions: [still] }) }));
    const picture = screen.getByRole<HTMLImageElement>("img");
    expect(picture.src).toBe("https://media.example.com/image");
    expect(picture.srcset).toBe("");
    expect(picture.style.backgroundImage).toContain(still.url);
  });

  it("plays sound with controls", () => {
    const audio = show(medium("audio")).querySelector<HTMLAudioElement>(".audio-container audio");
    expect(audio?.controls).toBe(true);
    expect(audio?.preload).toBe("metadata");
  });

  it("plays film with controls, its poster, and no more than its head loaded", () => {
    const poster = { name: "poster", url: "https://media.example.com/p", content_type: "image/webp", size_bytes: 1 };
    const film = medium("video", { attachment: attachment("video", { renditions: [poster] }) });
    const video = show(film).querySelector<HTMLVideoElement>(".video-container video");
    expect(video?.controls).toBe(true);
    expect(video?.preload).toBe("metadata");
    expect(video?.getAttribute("poster")).toBe(poster.url);
  });

  it.each([
    ["generating", "Picture is being made"],
    ["validating", "Picture is being checked…"],
    ["uploading", "Picture is being stored…"],
    ["pending", "Picture is being checked and stored…"],
  ] as const)("names the phase %s and keeps the place", (phase, words) => {
    const made = show(medium("image", { phase, attachment: null }));
    expect(made.textContent).toContain(words);
    expect(made.querySelector<HTMLElement>(".media-loading")?.style.aspectRatio).toBe("1024 / 512");
  });

  it.each([
    ["failed", "Picture could not be shown: The file is larger than allowed."],
    ["expired", "Picture has expired"],
    ["deleted", "Picture was deleted"],
  ] as const)("says in words that a medium is %s", (phase, words) => {
    const reason = phase === "failed" ? "The file is larger than allowed." : null;
    const made = show(medium("image", { phase, attachment: null, reason }));
    expect(made.querySelector(".media-error")?.textContent).toContain(words);
  });

  it("stays at the address that it loads from when the API signs another, so that nothing loads twice or stops playing", () => {
    const page = (url: string) => (
      <QueryClientProvider client={new QueryClient()}>
        <MediaRenderer medium={medium("audio", { attachment: attachment("audio", { url }) })} alt="a" />
        <MediaRenderer medium={medium("image", { attachment: attachment("image", { url }) })} alt="b" />
      </QueryClientProvider>
    );
    const shown = render(page("https://media.example.com/one?signed=1"));
    shown.rerender(page("https://media.example.com/one?signed=2"));
    expect(shown.container.querySelector("audio")?.src).toBe("https://media.example.com/one?signed=1");
    expect(shown.container.querySelector("img")?.src).toBe("https://media.example.com/one?signed=1");
  });

  it("asks once, silently, for a new address when the old one no longer opens", async () => {
    const fetched = vi.fn(() =>
      Promise.resolve(new Response(JSON.stringify({ url: "https://media.example.com/fresh" }), { status: 200 })),
    );
    vi.stubGlobal("fetch", fetched);
    show(medium("image"));
    fireEvent.error(screen.getByRole("img"));
    await waitFor(() => expect(screen.getByRole<HTMLImageElement>("img").src).toBe("https://media.example.com/fresh"));
    fireEvent.error(screen.getByRole("img"));
    await screen.findByText(/could not be loaded/);
    expect(fetched).toHaveBeenCalledTimes(1);
  });

  it("opens a picture", () => {
    const opened = vi.fn();
    show(medium("image"), opened);
    fireEvent.click(screen.getByRole("button", { name: "Enlarge: a blue square" }));
    expect(opened).toHaveBeenCalledOnce();
  });
});
