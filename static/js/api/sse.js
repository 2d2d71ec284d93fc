// Streaming of a reply: Server-Sent Events over fetch, since EventSource sends no Authorization.

import { sleep } from "../time.js";
import { call, get } from "./client.js";
import { Problem } from "./problem.js";

const ENDS = new Set(["reply.completed", "reply.failed", "reply.stopped"]);
// The server sends at least a comment every 15 seconds.
const SILENCE_SECONDS = 40;
const LONGEST_BACKOFF_SECONDS = 10;

/**
 * Follow a reply to its end. A lost connection is resumed after the last event. `onText` takes new
 * text, `onRestart` makes earlier text void, `onWaiting` takes the wait for the next try, `onEnd`
 * takes the whole message, null if it was deleted. Ends early when `signal` is aborted.
 */
export async function follow(replyId, { onText, onRestart, onWaiting, onEnd, signal }) {
  let lastId = "";
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const event of connect(replyId, lastId, signal)) {
        if (signal.aborted) return;
        failures = 0;
        lastId = event.id;
        if (event.name === "reply.delta") onText(event.data.text);
        if (event.name === "reply.restarted") onRestart();
        if (event.name === "reply.waiting") onWaiting(event.data);
        if (ENDS.has(event.name)) return onEnd(event.data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status === 404) return onEnd(null);
      const isBreak = error instanceof TypeError || error.name === "AbortError";
      if (!isBreak && !(error instanceof Problem)) throw error;
    }
    await sleep(Math.random() * Math.min(2 ** failures / 2, LONGEST_BACKOFF_SECONDS));
    await online();
    failures += 1;
  }
}

async function* connect(replyId, lastId, signal) {
  const connection = new AbortController();
  const disconnect = () => connection.abort();
  const ending = { signal: connection.signal };
  signal.addEventListener("abort", disconnect, ending);
  window.addEventListener("offline", disconnect, ending);
  let silence = setTimeout(disconnect, SILENCE_SECONDS * 1000);
  try {
    const answer = await call("GET", `/message/${replyId}/stream`, {
      headers: lastId ? { "Last-Event-ID": lastId } : {},
      signal: connection.signal,
    });
    if (answer.status === 204) {
      // All text had arrived, but not the end.
      yield { id: lastId, name: "reply.completed", data: await get(`/message/${replyId}`) };
      return;
    }
    const onData = () => {
      clearTimeout(silence);
      silence = setTimeout(disconnect, SILENCE_SECONDS * 1000);
    };
    yield* events(answer.body, onData);
  } finally {
    clearTimeout(silence);
    disconnect();
  }
}

/** Yield the events of a body, without comments. */
async function* events(body, onData) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onData();
    buffer += value;
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const event = parse(block);
      if (event) yield event;
    }
  }
}

function parse(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name) fields[name] = value;
  }
  return fields.event && { id: fields.id, name: fields.event, data: JSON.parse(fields.data) };
}

/** Wait until the browser has a network. */
function online() {
  if (navigator.onLine) return Promise.resolve();
  return new Promise((resolve) => window.addEventListener("online", resolve, { once: true }));
}
