// What a server says when it does not do what it was asked.

/** A problem document (RFC 9457), or a server that could not be reached: `status` 0. */
export class Problem extends Error {
  constructor(status, { detail, code = "", errors = [], quota = null, challenge = null } = {}) {
    super(detail || "Something went wrong here. Try again in a moment.");
    Object.assign(this, { status, code, errors, quota, challenge });
  }

  /** What is wrong with one field, in words. */
  of(field) {
    return this.errors.find((error) => error.field === field)?.message;
  }
}

export async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Problem(answer.status, body);
}

export function unreachable() {
  const detail = navigator.onLine
    ? "The server cannot be reached. Try again in a moment."
    : "You are offline. Try again when you are back.";
  return new Problem(0, { detail });
}

/** What the server asks to wait, in seconds; null if it does not. */
export function retryAfter(answer) {
  const given = Number.parseInt(answer.headers.get("Retry-After"), 10);
  return Number.isNaN(given) ? null : given;
}
