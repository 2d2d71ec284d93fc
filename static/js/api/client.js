// Calls of the public API: authorised, renewed after a 401, repeated where that is safe.

import { sleep } from "../time.js";
import { problemOf, retryAfter, unreachable } from "./problem.js";
import { SignedOut, refresh, token, whileSignedIn } from "./session.js";

const BASE = "/api/v1";
const TRIES = 3;
const LONGEST_WAIT_SECONDS = 5;

/**
 * Call `path` and answer with the Response; raises Problem, or SignedOut when the session is over.
 * A `key` makes a POST safe to repeat: the server does once what it is asked twice.
 */
export async function call(method, path, { body, key, headers = {}, signal } = {}) {
  const isSafe = method !== "POST" || key !== undefined;
  for (let tries = 1; ; tries += 1) {
    const last = tries === TRIES || !isSafe;
    let answer;
    try {
      answer = await authorised(method, path, { body, key, headers, signal });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      if (last || !navigator.onLine) throw unreachable();
      await sleep(tries);
      continue;
    }
    const wait = answer.status === 503 ? retryAfter(answer) : null;
    if (answer.ok) return answer;
    if (last || wait === null) throw await problemOf(answer);
    await sleep(Math.min(wait, LONGEST_WAIT_SECONDS));
  }
}

async function authorised(method, path, { body, key, headers, signal }) {
  const send = () =>
    fetch(BASE + path, {
      method,
      signal: AbortSignal.any([whileSignedIn(), ...(signal ? [signal] : [])]),
      body: body && JSON.stringify(body),
      headers: {
        Authorization: `Bearer ${token()}`,
        ...(body && { "Content-Type": "application/json" }),
        ...(key && { "Idempotency-Key": key }),
        ...headers,
      },
    });
  if (token()) {
    const answer = await send();
    if (answer.status !== 401) return answer;
  }
  if (!(await refresh())) throw new SignedOut();
  return send();
}

export const read = async (answer) => (await answer).json();
export const get = (path, options) => read(call("GET", path, options));
export const post = (path, body = {}, options = {}) =>
  read(call("POST", path, { body, ...options }));

/** A key for one thing that is to be done once, however often it is sent. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keys for what a person may send again after an error: the same for as long as it is the same. */
export class RetryKey {
  keyFor(what) {
    if (what !== this.what) Object.assign(this, { what, key: newKey() });
    return this.key;
  }

  done() {
    this.what = undefined;
  }
}

/** The path of the next page, from the answer's `Link` header; null on the last one. */
export function nextPage(answer) {
  const link = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get("Link") ?? "");
  if (!link) return null;
  const { pathname, search } = new URL(link[1]);
  return (pathname + search).slice(BASE.length);
}
