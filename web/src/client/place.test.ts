import { describe, expect, it } from "vitest";
import { isAfter, placeOf } from "./place";

const id = (offset: string, frame: string, start: string) => `1-0badcafe-0003-${offset}-${frame}-${start}`;

describe("a place", () => {
  it("is the same wherever a reader would begin again", () => {
    const one = id("00000000000a", "01", "000000000003");
    const other = id("00000000000a", "01", "000000000009");
    expect(placeOf(one)).toBe(placeOf(other));
    expect(isAfter(other, one)).toBe(false);
  });

  it("rises with the offset and with the frame of an event", () => {
    const first = id("00000000000a", "01", "000000000003");
    expect(isAfter(id("00000000000a", "02", "000000000003"), first)).toBe(true);
    expect(isAfter(id("00000000000b", "00", "000000000000"), first)).toBe(true);
    expect(isAfter(first, null)).toBe(true);
  });
});
