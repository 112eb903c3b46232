import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Saved } from "./Saved";

afterEach(() => {
  cleanup();
  localStorage.clear();
});

const show = (current: string, onChoose = vi.fn()) =>
  render(<Saved kind="prompts" one="prompt" current={current} nameOf={(prompt) => prompt.slice(0, 5)} onChoose={onChoose} />);
const toggle = () => screen.getByRole("button");

describe("Saved", () => {
  it("calls its button by what it saves, for two stand on one page", async () => {
    show("Hello");
    render(<Saved kind="sets of models" one="model set" current={["a/b"]} nameOf={() => "a/b"} onChoose={vi.fn()} />);
    const names = () => screen.getAllByRole("button").map((one) => one.textContent);
    expect(names()).toEqual(["Save prompt", "Save model set"]);
    await userEvent.click(screen.getByRole("button", { name: "Save prompt" }));
    expect(names()).toEqual(["Saved prompt", "Save model set"]);
  });

  it("keeps two that begin alike apart", async () => {
    show("Hello one");
    await userEvent.click(toggle());
    cleanup();
    const onChoose = vi.fn();
    show("Hello two", onChoose);
    expect(toggle().getAttribute("aria-pressed")).toBe("false");
    await userEvent.click(toggle());
    expect(toggle().getAttribute("aria-pressed")).toBe("true");
    await userEvent.selectOptions(screen.getByRole("combobox"), "Hello");
    await userEvent.selectOptions(screen.getByRole("combobox"), "Hello (2)");
    expect(onChoose.mock.calls).toEqual([["Hello one"], ["Hello two"]]);
  });

  it("takes back what was saved, and nothing else", async () => {
    show("Hello one");
    await userEvent.click(toggle());
    cleanup();
    show("Hello two");
    await userEvent.click(toggle());
    await userEvent.click(toggle());
    expect(screen.queryAllByRole("option").map((one) => one.textContent)).toEqual(["Saved prompts…", "Hello"]);
  });
});
