// The message form. Text and files stay until the server has the message.

import { RetryKey, call, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { Attachments } from "../files/attachments.js";
import { takeFiles } from "../files/intake.js";
import { byId, isFocusLost, problemText, runSafely, showFailure } from "../ui.js";
import { isRefusal, models } from "./model_list.js";

const NO_FILES = { key: null, ids: [] };

const byTouch = matchMedia("(pointer: coarse)");

export class Composer {
  /**
   * `choice` has the model, `plan` the limits of files. `onNewRoom` takes a room that was made for the
   * message. `onUpgrade` starts the upgrade and takes the element for a refusal. `onFull` opens the
   * list of all files.
   */
  constructor({ conversation, choice, plan, onNewRoom, onUpgrade, onFull }) {
    Object.assign(this, { conversation, choice, onNewRoom, onUpgrade });
    this.form = byId("composer");
    this.prompt = byId("prompt");
    this.error = byId("prompt-error");
    this.button = byId("send");
    this.retryKey = new RetryKey();
    this.attachments = new Attachments({
      plan,
      model: () => (models.isOffline ? null : choice.model),
      onChange: () => {
        this.showButton();
        conversation.keepAtEnd();
      },
      onUpgrade,
      onFull,
    });
    takeFiles({ onFiles: (files) => this.attach(files), isOpen: () => !this.form.hidden });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.prompt.value, { files: this.attachments.forSend });
    });
    this.button.disabled = false;
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
      button.addEventListener("click", () =>
        this.send(button.textContent, { files: this.attachments.forSend }),
      );
    }
  }

  /** Focus the field, but not on a touch screen: its keyboard would hide the answer. */
  focus() {
    if (!byTouch.matches) this.prompt.focus({ preventScroll: true });
  }

  get draftKey() {
    return `draft:${this.conversation.opening ?? "new"}`;
  }

  /** Show the unsent text and the unsent files of this room. */
  open() {
    this.made = null;
    this.showError("");
    this.fill(sessionStorage.getItem(this.draftKey) ?? "");
    this.attachments.open(this.draftKey);
  }

  attach(files) {
    this.showError(this.attachments.add(files));
    this.focus();
  }

  /** Show on the button what the send waits for. */
  showButton() {
    const { obstacle } = this.attachments;
    const label = obstacle ?? "Send";
    this.button.ariaDisabled = obstacle ? "true" : null;
    if (this.button.ariaLabel !== label) Object.assign(this.button, { ariaLabel: label, title: label });
    if (this.isHeld && !obstacle) this.showError("");
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

  /** Ask for the rest of an answer; the unsent text stays. */
  async continue() {
    await this.send("Continue.", { draft: this.prompt.value });
    if (isFocusLost()) byId("log").focus({ preventScroll: true });
  }

  /** Send a text with files. `draft` is the text in the field afterwards. */
  async send(text, { draft = "", files = NO_FILES }) {
    if (this.form.ariaBusy === "true") return;
    const obstacle = files.key && this.attachments.obstacle;
    if (obstacle) {
      this.showError(`${obstacle}.`);
      this.isHeld = true;
      return;
    }
    if (!text.trim() && !files.ids.length) return this.showError("Write something first.");
    if (this.conversation.isLoading) return this.showError("The conversation is still loading.");
    this.form.ariaBusy = "true";
    this.showError("");
    try {
      await this.deliver(text, draft, files);
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      this.fill(draft || text);
      const isOfPlan = ["quota_exceeded", "model_not_in_plan"].includes(error.code);
      const ofField = error.fieldError("prompt") ?? error.fieldError("files");
      this.showError(ofField ?? problemText(error), isOfPlan);
      if (isRefusal(error)) runSafely(() => this.reloadAfter(error));
      if (error.code.startsWith("file_")) runSafely(() => this.attachments.refresh());
    } finally {
      this.form.ariaBusy = "false";
      this.focus();
    }
  }

  async deliver(text, draft, files) {
    const [before, draftKey] = [this.conversation.room, this.draftKey];
    const { model, thinking } = await this.choice.request(before);
    const room = before ?? (await this.newRoom(model));
    // The room of an earlier try may have another model.
    if (!before && room.model !== model) this.choice.save(room, model);
    if (!(await this.choice.settled(room))) return;
    const path = `/message/chatroom/${room.id}/message`;
    const [inForce, body] = [room.model, { prompt: text, ...(thinking && { thinking }) }];
    if (files.ids.length) body.files = files.ids;
    let sent;
    try {
      sent = await post(path, body, { key: this.retryKey.keyFor(room.id + JSON.stringify(body)) });
    } catch (error) {
      if (!before && error.status) await this.discard(room);
      throw error;
    }
    this.retryKey.done();
    this.made = null;
    sessionStorage.removeItem(draftKey);
    // A user who opened another room meanwhile stays there.
    if (this.conversation.room !== before) {
      if (files.key) this.attachments.sent(files);
      return this.conversation.notifyExchange();
    }
    this.fill(draft);
    this.conversation.accepted(room, sent.data);
    if (files.key) this.attachments.sent(files, this.draftKey);
    if (!before) this.onNewRoom(room);
    if (before) this.choice.accepted(room, sent.data.reply, inForce);
    else this.choice.adopt(room, model);
  }

  /** Show what the server offers now, after it refused a model or a level. */
  async reloadAfter(error) {
    await Promise.all([models.reloadAfter(error), this.conversation.reload()]);
  }

  /** Make the room for a first message; reuse it if the network broke before the send. */
  async newRoom(model) {
    const temporary = byId("temporary").checked;
    this.made ??= await post("/chatroom/", { temporary, ...(model && { model }) });
    return this.made;
  }

  /** Delete a room whose first message was refused. */
  async discard(room) {
    this.made = null;
    await call("DELETE", `/chatroom/${room.id}`);
  }

  showError(text, offersUpgrade = false) {
    this.isHeld = false;
    this.error.textContent = text;
    this.prompt.ariaInvalid = text ? "true" : null;
    if (!offersUpgrade) return;
    const upgrade = document.createElement("button");
    Object.assign(upgrade, { type: "button", className: "button small", textContent: "Upgrade to Pro" });
    const refusal = document.createElement("p");
    upgrade.addEventListener("click", () => this.onUpgrade(refusal));
    this.error.append(" ", upgrade, refusal);
  }
}
