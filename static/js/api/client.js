// Calls of the public API: authorised, with a new token after a 401, retried where that is safe.

import { sleep } from "../time.js";
import { problemFrom, retryAfter, unreachable } from "./problem.js";
import { SignedOut, refresh, token, sessionSignal } from "./session.js";

export const BASE = "/api/v1";
const TRIES = 3;
const LONGEST_WAIT_SECONDS = 5;

/**
 * Call `path` and return the Response. Throws Problem, or SignedOut when the session has ended.
 * A `key` makes a POST safe to retry: the server acts once for each key.
 */
export async function call(method, path, { body, key, headers = {}, signal } = {}) {
  const isSafe = method !== "POST" || key !== undefined;
  for (let tries = 1; ; tries += 1) {
    const last = tries === TRIES || !isSafe;
    let answer;
    try {
      answer = await authorised(() => request(method, path, { body, key, headers, signal }));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      if (last || !navigator.onLine) throw unreachable();
      await sleep(tries);
      continue;
    }
    const wait = answer.status === 503 ? retryAfter(answer) : null;
    if (answer.ok) return answer;
    if (last || wait === null) throw await problemFrom(answer);
    await sleep(Math.min(wait, LONGEST_WAIT_SECONDS));
  }
}

function request(method, path, { body, key, headers, signal }) {
  return fetch(BASE + path, {
    method,
    signal: AbortSignal.any([sessionSignal(), ...(signal ? [signal] : [])]),
    body: body && JSON.stringify(body),
    headers: {
      Authorization: `Bearer ${token()}`,
      ...(body && { "Content-Type": "application/json" }),
      ...(key && { "Idempotency-Key": key }),
      ...headers,
    },
  });
}

/** Send with a token, and once more with a new token after a 401. Throws SignedOut. */
export async function authorised(send) {
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

/** Make a key for one action, which is done once however often it is sent. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The idempotency key of a form: the same for as long as the content is the same. */
export class RetryKey {
  keyFor(what) {
    if (what !== this.what) Object.assign(this, { what, key: newKey() });
    return this.key;
  }

  done() {
    this.what = undefined;
  }
}

/** The path of the next page, from the `Link` header; null on the last page. */
export function nextPage(answer) {
  const link = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get("Link") ?? "");
  if (!link) return null;
  const { pathname, search } = new URL(link[1]);
  return (pathname + search).slice(BASE.length);
}
