// A finger that goes from side to side turns to the model beside; one that scrolls a table, code or a player does not.
import { useRef, type TouchEvent } from "react";

const LEAST_PX = 60;
const SIDEWAYS = "pre, .table, audio, video, input, textarea";

interface Swipe {
  onTouchStart: (event: TouchEvent) => void;
  onTouchEnd: (event: TouchEvent) => void;
}

/** `onSwipe` is told 1 for what lies to the right, -1 for what lies to the left. */
export function useSwipe(onSwipe: (by: 1 | -1) => void): Swipe {
  const from = useRef<{ x: number; y: number } | null>(null);
  return {
    onTouchStart: ({ touches, target }) => {
      const [finger, second] = [touches[0], touches[1]];
      const scrolls = target instanceof Element && target.closest(SIDEWAYS) !== null;
      from.current = finger && !second && !scrolls ? { x: finger.clientX, y: finger.clientY } : null;
    },
    onTouchEnd: ({ changedTouches }) => {
      const began = from.current;
      const finger = changedTouches[0];
      from.current = null;
      if (!began || !finger) return;
      const [x, y] = [finger.clientX - began.x, finger.clientY - began.y];
      if (Math.abs(x) < LEAST_PX || Math.abs(x) < 2 * Math.abs(y)) return;
      onSwipe(x < 0 ? 1 : -1);
    },
  };
}
