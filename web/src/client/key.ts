// A key that no one else has: the same request sent twice with it is carried out once.

/** 128 random bits as hex. Unlike crypto.randomUUID it is there without TLS too. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
