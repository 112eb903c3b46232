import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import * as media from "../../client/media";
import type { MediaAttachment } from "../../types/conversation";
import { Lightbox } from "./Lightbox";

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});
beforeAll(() => {
  HTMLDialogElement.prototype.showModal = function (this: HTMLDialogElement) {
    this.open = true;
  };
});

const attachment = (id: string): MediaAttachment => ({
  media_id: id,
  type: "image",
  format: "png",
  url: `https://media.example.com/${id}?signed=before`,
});
const show = () => {
  const pictures = ["a", "b"].map((id) => ({ id, attachment: attachment(id), model: `model ${id}`, alt: `alt ${id}` }));
  render(<Lightbox framed={{ pictures, at: "a" }} onClose={() => undefined} />);
};
const picture = () => screen.getByRole<HTMLImageElement>("img");
const press = (key: string, more = {}) => fireEvent.keyDown(picture(), { key, ...more });

describe("Lightbox", () => {
  it("asks once for a new address where the one it has has run out, then says so", async () => {
    const renew = vi
      .spyOn(media, "renew")
      .mockImplementation((id) => Promise.resolve({ ...attachment(id), url: `https://media.example.com/${id}?signed=now` }));
    show();
    fireEvent.error(picture());
    await vi.waitFor(() => expect(picture().src).toBe("https://media.example.com/a?signed=now"));
    fireEvent.error(picture());
    expect(screen.getByRole("alert").textContent).toContain("could not be loaded");
    expect(renew).toHaveBeenCalledTimes(1);
    // Another picture is another address.
    fireEvent.keyDown(screen.getByRole("dialog"), { key: "ArrowRight" });
    expect(picture().alt).toBe("alt b");
  });

  it("pages by arrows, and moves an enlarged picture instead", () => {
    const moved = vi.spyOn(Element.prototype, "scrollBy").mockImplementation(() => undefined);
    show();
    press("ArrowRight");
    expect(picture().alt).toBe("alt b");
    press("+");
    press("ArrowRight");
    press("ArrowDown");
    expect(picture().alt).toBe("alt b");
    expect(moved.mock.calls).toEqual([
      [80, 0],
      [0, 80],
    ]);
    press("-");
    press("ArrowRight");
    expect(picture().alt).toBe("alt a");
  });

  it("leaves the browser's own zoom alone", () => {
    show();
    press("+", { ctrlKey: true });
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Smaller" }).disabled).toBe(true);
  });
});
