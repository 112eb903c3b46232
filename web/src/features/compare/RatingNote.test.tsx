import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { RatingNote } from "./RatingNote";

afterEach(cleanup);

describe("RatingNote", () => {
  it("shows the note that there is, and gives back the changed one", async () => {
    const onNote = vi.fn();
    render(<RatingNote note="Too long." onNote={onNote} />);
    expect(screen.getByText("Too long.")).toBeTruthy();
    await userEvent.click(screen.getByRole("button", { name: "Change the note" }));
    await userEvent.type(screen.getByRole("textbox"), " But right.");
    await userEvent.click(screen.getByRole("button", { name: "Save note" }));
    expect(onNote).toHaveBeenCalledWith("Too long. But right.");
  });

  it("takes an emptied note back", async () => {
    const onNote = vi.fn();
    render(<RatingNote note="Too long." onNote={onNote} />);
    await userEvent.click(screen.getByRole("button", { name: "Change the note" }));
    await userEvent.clear(screen.getByRole("textbox"));
    await userEvent.click(screen.getByRole("button", { name: "Save note" }));
    expect(onNote).toHaveBeenCalledWith(null);
  });

  it("leaves the note as it was on Escape, and gives the focus back", async () => {
    const onNote = vi.fn();
    render(<RatingNote note={null} onNote={onNote} />);
    await userEvent.click(screen.getByRole("button", { name: "Write a note" }));
    await userEvent.keyboard("never kept{Escape}");
    expect(onNote).not.toHaveBeenCalled();
    expect(document.activeElement).toBe(screen.getByRole("button", { name: "Write a note" }));
  });
});
