// One file of an unsent message: its upload, its examination, and its state in words.

import { get } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { upload } from "../api/upload.js";
import { showFailure } from "../ui.js";
import { kindOf } from "./limits.js";

const WAIT_SECONDS = 10;
// A browser has six connections for a site, and a stream of an answer needs one.
const UPLOADS_AT_ONCE = 3;
// The server will refuse the same bytes again.
const FINAL = ["file_too_large", "unsupported_file_type", "file_empty", "file_name"];
const DELETED = "the file was deleted";

let freeSlots = UPLOADS_AT_ONCE;
const waitingForSlot = [];

/** Do work in one of few slots. */
async function inSlot(work) {
  if (freeSlots) freeSlots -= 1;
  else await new Promise((resolve) => waitingForSlot.push(resolve));
  try {
    return await work();
  } finally {
    const next = waitingForSlot.shift();
    if (next) next();
    else freeSlots += 1;
  }
}

export class Attachment {
  // uploading, checking, ready, refused or failed; `code` and `detail` of the last two.
  state = "uploading";
  progress = 0;
  controller = new AbortController();

  /** Of a file of this computer, or of an uploaded file. `onChange` takes the attachment. */
  constructor({ blob = null, file = null, onChange }) {
    Object.assign(this, { blob, file, onChange });
  }

  get name() {
    return this.file?.name ?? this.blob.name;
  }

  get size() {
    return this.file?.size ?? this.blob.size;
  }

  get kind() {
    return this.file?.kind ?? kindOf(this.blob);
  }

  get isWaiting() {
    return this.state === "uploading" || this.state === "checking";
  }

  get isReady() {
    return this.state === "ready";
  }

  get stateText() {
    const because = this.detail ? `: ${this.detail}` : "";
    return {
      uploading: `Uploading ${Math.floor(100 * this.progress)} %`,
      checking: "Checking…",
      ready: "Ready",
      refused: `Refused${because}`,
      failed: `Upload failed${because}`,
    }[this.state];
  }

  set(state, { code = "", detail = "" } = {}) {
    Object.assign(this, { state, code, detail: inSentence(detail) });
    this.onChange(this);
  }

  /** Upload and examine, from the step that is missing. */
  async run() {
    const { signal } = this.controller;
    this.progress = 0;
    this.set(this.file ? "checking" : "uploading");
    try {
      await inSlot(() => this.complete(signal));
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  async complete(signal) {
    signal.throwIfAborted();
    if (!this.file) {
      const onProgress = (share) => {
        this.progress = share;
        if (this.state === "uploading") this.onChange(this);
      };
      this.file = await upload(this.blob, this.blob.name, { onProgress, signal });
      this.set("checking");
    }
    await this.examine(signal);
  }

  /** Wait for the end of the examination. */
  async examine(signal) {
    while (this.file.status === "received") {
      this.file = await get(`/file/${this.file.id}?wait=${WAIT_SECONDS}`, { signal });
    }
    if (this.file.status === "ready") return this.set("ready");
    const { code, detail } = this.file.refusal;
    // Space can be made free; the other refusals are final.
    if (code === "storage_full") this.lose({ code, detail });
    else this.set("refused", { code, detail });
  }

  fail(error) {
    if (!(error instanceof Problem)) {
      this.set("failed");
      return showFailure(error);
    }
    const { status, code, message } = error;
    if (this.file && status === 404) return this.lose({ code, detail: DELETED });
    if (FINAL.includes(code)) return this.set("refused", { code, detail: message });
    this.set("failed", { code, detail: status ? message : "" });
  }

  /** Show that the server has no file: a retry uploads the bytes, where this page has them. */
  lose(reason) {
    const canRetry = Boolean(this.blob);
    if (canRetry) this.file = null;
    this.set(canRetry ? "failed" : "refused", reason);
  }

  /** Check whether the server still has the file. */
  async refresh() {
    if (!this.isReady) return;
    const { signal } = this.controller;
    try {
      this.file = await get(`/file/${this.file.id}`, { signal });
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  remove() {
    this.controller.abort();
  }
}

/** A sentence of the server after a colon. */
function inSentence(text) {
  const isWord = /^[A-Z][a-z]*\s/.test(text);
  return (isWord ? text[0].toLowerCase() + text.slice(1) : text).replace(/\.$/, "");
}
