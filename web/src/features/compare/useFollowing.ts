// Who reads at the end of an answer that streams stays there; who has scrolled up is left alone.
import { useEffect, useRef, type KeyboardEvent, type UIEvent, type WheelEvent } from "react";

const NEAR_PX = 40;
const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);

/** The box, and what it must listen to. `wanted` is asked at each rendering: a box out of sight must not be made to be laid out. */
export function useFollowing(wanted: () => boolean) {
  const body = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const top = useRef(0);

  /** Whoever went up wants to be there, however little it was; who comes near the end wants to see what comes. */
  function moved(box: HTMLElement): boolean {
    const left = box.scrollHeight - box.scrollTop - box.clientHeight;
    // What became shorter moved up as well, and is at its end still.
    if (box.scrollTop < top.current && left > 1) following.current = false;
    else if (box.scrollTop > top.current && left < NEAR_PX) following.current = true;
    top.current = box.scrollTop;
    return following.current;
  }

  useEffect(() => {
    const box = body.current;
    if (!box || !following.current || !wanted()) return;
    // A scrollbar or a finger may have moved it since, with the event still to come.
    if (box.scrollTop < top.current && !moved(box)) return;
    box.scrollTop = 1e9;
    top.current = box.scrollTop;
  });

  const listening = {
    onScroll: ({ currentTarget }: UIEvent<HTMLElement>) => moved(currentTarget),
    // A wheel and keys move smoothly: to follow would end that movement before its first step.
    onWheel: ({ currentTarget, deltaY }: WheelEvent<HTMLElement>) => {
      if (deltaY < 0 && currentTarget.scrollTop > 0) following.current = false;
    },
    onKeyDown: ({ currentTarget, key, shiftKey }: KeyboardEvent<HTMLElement>) => {
      const up = UPWARDS.has(key) || (key === " " && shiftKey);
      if (up && currentTarget.scrollTop > 0) following.current = false;
      // What comes meanwhile moves the end away from who is on the way to it.
      if (key === "End") following.current = true;
    },
  };
  return { body, listening };
}
