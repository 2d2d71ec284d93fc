// The upload of a file by XMLHttpRequest, since fetch reports no progress.

import { BASE, authorised } from "./client.js";
import { problemFrom, unreachable } from "./problem.js";
import { sessionSignal, token } from "./session.js";

/**
 * Upload `blob` as `name` and return the file. `onProgress` takes the sent share, from 0 to 1. Throws
 * Problem, SignedOut, or an AbortError after `signal`.
 */
export async function upload(blob, name, { onProgress, signal }) {
  const ending = AbortSignal.any([sessionSignal(), signal]);
  const answer = await authorised(() => send(blob, name, { onProgress, signal: ending }));
  if (!answer.ok) throw await problemFrom(answer);
  return answer.json();
}

function send(blob, name, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const ended = new AbortController();
    const fail = (error) => {
      ended.abort();
      reject(error);
      request.abort();
    };
    const ending = { signal: ended.signal };
    request.open("POST", `${BASE}/file/`);
    request.setRequestHeader("Authorization", `Bearer ${token()}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Content-Disposition", `attachment; filename*=UTF-8''${encoded(name)}`);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("error", () => fail(unreachable()));
    request.addEventListener("load", () => {
      ended.abort();
      resolve(new Response(request.response, { status: request.status }));
    });
    signal.addEventListener("abort", () => fail(signal.reason), ending);
    // A browser may notice much later that the bytes go nowhere.
    window.addEventListener("offline", () => fail(unreachable()), ending);
    request.send(blob);
  });
}

/** Encode a name for `filename*` (RFC 8187). */
function encoded(name) {
  const escaped = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(name.toWellFormed?.() ?? name).replace(/['()*]/g, escaped);
}
