// What can go wrong between the browser and the API, each as a sentence that a person can act on.

/** The API answered, and refused. `message` is its own sentence. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterS: number | null = null,
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

/** Nobody answered. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
  constructor() {
    super("The server does not answer. This page tries again by itself.");
  }
}

/** Makes an ApiError of an answer that is not a success, whatever a proxy made of its body. */
export async function refusal(response: Response): Promise<ApiError> {
  let detail = `The server answered ${response.status}.`;
  let code = "error";
  let body: unknown = null;
  try {
    body = await response.json();
    if (typeof body === "object" && body !== null) {
      if ("detail" in body && typeof body.detail === "string") detail = body.detail;
      if ("code" in body && typeof body.code === "string") code = body.code;
    }
  } catch {
    // Not JSON: a proxy's page. The status says what there is to say.
  }
  const after = Number(response.headers.get("Retry-After") ?? "");
  return new ApiError(response.status, code, detail, Number.isFinite(after) && after > 0 ? after : null, body);
}
