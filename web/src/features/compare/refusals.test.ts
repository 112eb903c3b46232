import { describe, expect, it } from "vitest";
import { inWords } from "./refusals";

describe("inWords", () => {
  it("says of a quota what is used up, when it works again, and that the prompt is kept", () => {
    const said = inWords("You have made all the media of today.", "quota_exceeded", {
      what: "media_per_day",
      resets: "2026-11-24T00:00:00Z",
    });
    expect(said).toContain("media of today: used up");
    expect(said).toContain("It works again from");
    expect(said).toContain("2026");
    expect(said).toContain("your prompt is kept");
  });

  it("says what to do where a quota never begins anew", () => {
    expect(inWords("Full.", "quota_exceeded", { what: "stored_bytes", resets: null })).toContain("Delete something");
  });

  it("leaves every other refusal as the server put it", () => {
    expect(inWords("Unknown model.", "unknown_model", null)).toBe("Unknown model.");
  });
});
