// Where a message is written. What was typed stays until the server has it.

import { RetryKey, call, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { byId, quotaMessage, runSafely, showFailure } from "../ui.js";

const byTouch = matchMedia("(pointer: coarse)");

export class Composer {
  /**
   * `onNewRoom` takes a room that was made for what was sent; `onUpgrade` a wish for more, and the
   * place to say what stands in its way.
   */
  constructor({ conversation, onNewRoom, onUpgrade }) {
    Object.assign(this, { conversation, onNewRoom, onUpgrade });
    this.form = byId("composer");
    this.prompt = byId("prompt");
    this.error = byId("prompt-error");
    this.retryKey = new RetryKey();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.prompt.value);
    });
    this.prompt.addEventListener("input", () => this.keepDraft());
    this.prompt.addEventListener("keydown", (event) => {
      const isSending = event.key === "Enter" && !event.shiftKey && !event.isComposing;
      if (!isSending || byTouch.matches) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    byId("stop").addEventListener("click", () => {
      this.focus();
      runSafely(() => conversation.stop());
    });
    for (const button of document.querySelectorAll(".suggestions button")) {
      button.addEventListener("click", () => this.send(button.textContent));
    }
  }

  /** Not on a touch screen, where the keyboard would come up over the answer. */
  focus() {
    if (!byTouch.matches) this.prompt.focus({ preventScroll: true });
  }

  get draftKey() {
    return `draft:${this.conversation.opening ?? "new"}`;
  }

  /** Show what was typed in this room and not sent. */
  open() {
    this.made = null;
    this.showError("");
    this.fill(sessionStorage.getItem(this.draftKey) ?? "");
  }

  fill(text) {
    this.prompt.value = text;
    this.keepDraft();
  }

  keepDraft() {
    const text = this.prompt.value;
    if (text) sessionStorage.setItem(this.draftKey, text);
    else sessionStorage.removeItem(this.draftKey);
    this.prompt.style.height = "auto";
    this.prompt.style.height = `${this.prompt.scrollHeight}px`;
  }

  async send(text) {
    if (this.form.ariaBusy === "true") return;
    if (!text.trim()) return this.showError("Write something first.");
    if (this.conversation.isLoading) return this.showError("The conversation is still loading.");
    this.form.ariaBusy = "true";
    this.showError("");
    try {
      await this.deliver(text);
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      this.fill(text);
      this.showError(error.of("prompt") ?? quotaMessage(error), error.code === "quota_exceeded");
    } finally {
      this.form.ariaBusy = "false";
      this.focus();
    }
  }

  async deliver(text) {
    const [before, draftKey] = [this.conversation.room, this.draftKey];
    const room = before ?? (await this.newRoom());
    const path = `/message/chatroom/${room.id}/message`;
    let sent;
    try {
      sent = await post(path, { prompt: text }, { key: this.retryKey.keyFor(room.id + text) });
    } catch (error) {
      if (!before && error.status) await this.discard(room);
      throw error;
    }
    this.retryKey.done();
    this.made = null;
    sessionStorage.removeItem(draftKey);
    // Somebody who has turned to another room meanwhile is not taken back.
    if (this.conversation.room !== before) return this.conversation.notifyExchange();
    this.fill("");
    this.conversation.accepted(room, sent.data);
    if (!before) this.onNewRoom(room);
  }

  /** The room for a first message; the same one again if the network broke before it was sent. */
  async newRoom() {
    this.made ??= await post("/chatroom/", { temporary: byId("temporary").checked });
    return this.made;
  }

  /** A room whose first message was refused is not left lying about. */
  async discard(room) {
    this.made = null;
    await call("DELETE", `/chatroom/${room.id}`);
  }

  showError(words, offersUpgrade = false) {
    this.error.textContent = words;
    this.prompt.ariaInvalid = words ? "true" : null;
    if (!offersUpgrade) return;
    const upgrade = document.createElement("button");
    Object.assign(upgrade, { type: "button", className: "button small", textContent: "Upgrade to Pro" });
    const refusal = document.createElement("p");
    upgrade.addEventListener("click", () => this.onUpgrade(refusal));
    this.error.append(" ", upgrade, refusal);
  }
}
