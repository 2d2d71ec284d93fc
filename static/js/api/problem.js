// Errors of the API.

/** A problem document (RFC 9457); `status` is 0 for an unreachable server. */
export class Problem extends Error {
  constructor(status, { detail, code = "", errors = [], quota = null, challenge = null, ...members } = {}) {
    super(detail || "Something went wrong here. Try again in a moment.");
    Object.assign(this, { status, code, errors, quota, challenge, members });
  }

  /** The error of one field. */
  fieldError(field) {
    return this.errors.find((error) => error.field === field)?.message;
  }
}

export async function problemFrom(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Problem(answer.status, body);
}

export function unreachable() {
  const detail = navigator.onLine
    ? "The server cannot be reached. Try again in a moment."
    : "You are offline. Try again when you are back.";
  return new Problem(0, { detail });
}

/** The seconds of Retry-After, or null. */
export function retryAfter(answer) {
  const given = Number.parseInt(answer.headers.get("Retry-After"), 10);
  return Number.isNaN(given) ? null : given;
}
