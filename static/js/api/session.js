// The session. The access token is only in memory. A cookie renews the token: no script can read
// the cookie, and the browser sends it to this site only.

import { sleep } from "../time.js";
import { problemFrom, retryAfter, unreachable } from "./problem.js";

const TRIES = 9;

let accessToken = null;
let user = null;
let refreshing = null;
// Aborted by signing out: calls in progress would be refused.
let calls = new AbortController();

export class SignedOut extends Error {}

export const token = () => accessToken;
export const sessionSignal = () => calls.signal;

/** The id of the signed-in user: the subject of the access token, also while the token is renewed. */
export function userId() {
  if (accessToken) {
    const [, payload] = accessToken.split(".");
    user = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))).sub;
  }
  return user;
}

/** Sign in with the code; return the answer, also a refusal. */
export async function signIn(mobile, otp) {
  const answer = await fetch("/web/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ mobile, otp }),
  });
  if (answer.ok) accessToken = (await answer.json()).access_token;
  return answer;
}

/** Decide on an account after a long absence; return the answer, also a refusal. */
export async function confirmAccount(decision) {
  const answer = await fetch("/web/session/confirm", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(decision),
  });
  if (answer.ok) accessToken = (await answer.json()).access_token;
  return answer;
}

export async function signOut() {
  calls.abort();
  try {
    await endSession();
  } catch (error) {
    calls = new AbortController();
    throw error;
  }
  accessToken = null;
}

async function endSession() {
  const ended = fetch("/web/session", { method: "DELETE", keepalive: true });
  const answer = await ended.catch(() => {
    throw unreachable();
  });
  if (!answer.ok) throw await problemFrom(answer);
}

/** Take a new access token; false without a session. All callers share one request. */
export function refresh() {
  refreshing ??= withRefreshLock(fetchToken).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

// Each refresh invalidates the cookie of the refresh before. The lock exists in secure contexts.
// Elsewhere, and after a reload in the middle, the server answers 409, and a retry succeeds.
function withRefreshLock(take) {
  return navigator.locks ? navigator.locks.request("gemchat-refresh", take) : take();
}

async function fetchToken() {
  for (let tries = 1; ; tries += 1) {
    // keepalive: the browser stores the new cookie even if the page is left before the answer.
    const answer = await fetch("/web/session/refresh", { method: "POST", keepalive: true });
    if (answer.status === 200) {
      accessToken = (await answer.json()).access_token;
      return true;
    }
    accessToken = null;
    if (answer.status === 204) return false;
    const passes = answer.status === 409 || answer.status === 429 || answer.status >= 500;
    if (!passes || tries === TRIES) throw await problemFrom(answer);
    await sleep(retryAfter(answer) ?? 1);
  }
}
