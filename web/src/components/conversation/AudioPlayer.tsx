// Sound with its wave form: the browser's own controls, and the shape of what is heard above them.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { MediaAttachment } from "../../types/conversation";

interface Waveform {
  peaks: number[];
}

export function AudioPlayer({
  attachment,
  label,
  wordsIn,
  onError,
}: {
  attachment: MediaAttachment;
  label: string;
  /** The id of the element that holds what is said, where the model tells it. */
  wordsIn: string | undefined;
  onError: () => void;
}) {
  const [played, setPlayed] = useState(0);
  const from = attachment.renditions?.find((one) => one.name === "waveform")?.url;
  const wave = useQuery({
    queryKey: ["waveform", attachment.media_id],
    queryFn: async () => ((await (await fetch(from ?? "")).json()) as Waveform).peaks,
    enabled: from !== undefined,
    staleTime: Infinity,
    retry: 1,
  });
  return (
    <>
      {wave.data && <Wave peaks={wave.data} played={played} />}
      <audio
        src={attachment.url}
        controls
        preload="metadata"
        aria-label={label}
        aria-details={wordsIn}
        onError={onError}
        onTimeUpdate={({ currentTarget: { currentTime, duration } }) =>
          setPlayed(duration > 0 ? currentTime / duration : 0)
        }
      />
      {wordsIn && <p className="words">What it says stands above, as far as the model tells it.</p>}
    </>
  );
}

function Wave({ peaks, played }: { peaks: number[]; played: number }) {
  return (
    <svg className="waveform" viewBox={`0 0 ${peaks.length} 2`} preserveAspectRatio="none" aria-hidden="true">
      {peaks.map((peak, n) => (
        <rect
          key={n}
          x={n}
          y={1 - Math.max(0.04, peak)}
          width={0.7}
          height={2 * Math.max(0.04, peak)}
          className={n / peaks.length < played ? "heard" : undefined}
        />
      ))}
    </svg>
  );
}
