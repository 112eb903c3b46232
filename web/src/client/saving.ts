// Gets a file with its progress, and gives it to the browser to be saved.
import { refusal } from "./errors";
import { send } from "./http";

/** The file and the name that the server gives it. Raises ApiError, UnreachableError. */
export async function download(
  path: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<{ name: string; file: Blob }> {
  const response = await send(path, { signal });
  if (!response.ok || !response.body) throw await refusal(response);
  const pieces: BlobPart[] = [];
  let bytes = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    bytes += value.byteLength;
    onBytes(bytes);
  }
  const type = response.headers.get("Content-Type") ?? "application/octet-stream";
  return { name: nameIn(response.headers.get("Content-Disposition")), file: new Blob(pieces, { type }) };
}

function nameIn(disposition: string | null): string {
  const coded = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "")?.[1];
  if (coded) return decodeURIComponent(coded);
  return /filename="([^"]+)"/i.exec(disposition ?? "")?.[1] ?? "polylogue-export";
}

export function save(name: string, file: Blob): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun by then; the memory is given back.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
