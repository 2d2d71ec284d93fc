// The files of unsent messages, by room, and the list of the shown room above the message box.

import { get } from "../api/client.js";
import { announce, byId, toggle } from "../ui.js";
import { Attachment } from "./attachment.js";
import { Chip } from "./chip.js";
import { refusalOf } from "./limits.js";
import { notesOn, showNotes } from "./notes.js";
import { count } from "./words.js";

const MOST_FILES = 10;

export class Attachments {
  // By the key of a draft: the attachments, each with its chip and its key.
  drafts = new Map();
  key = null;

  /**
   * `plan` has the limits, `model` returns the model in force. `onChange` is called after each change
   * of the shown list. `onUpgrade` starts the upgrade and takes the element for a refusal; `onFull`
   * opens the list of files.
   */
  constructor({ plan, model, onChange, onUpgrade, onFull }) {
    Object.assign(this, { plan, model, onChange, onUpgrade, onFull });
    this.list = byId("chips");
  }

  /** The attachments of the shown room. */
  get shown() {
    return this.drafts.get(this.key) ?? [];
  }

  /** The shown attachments, as a send takes them: ids to send, and the draft to clear. */
  get forSend() {
    return { key: this.key, ids: this.shown.map(({ file }) => file?.id) };
  }

  /** Why the message cannot be sent now, or null. */
  get obstacle() {
    const states = (state) => this.shown.filter((attachment) => attachment.state === state).length;
    const waiting = this.shown.filter(({ isWaiting }) => isWaiting).length;
    if (states("refused")) return `Remove the refused ${states("refused") === 1 ? "file" : "files"} first`;
    if (states("failed")) return "Upload the failed file again, or remove it";
    return waiting ? `Waiting for ${count(waiting, "file")}` : null;
  }

  /** Show the files of a draft; after a reload of the page its uploaded files come back. */
  open(key) {
    this.key = key;
    if (!this.drafts.has(key)) {
      this.drafts.set(key, []);
      const ids = JSON.parse(sessionStorage.getItem(storageKey(key)) ?? "[]");
      this.restore(key, ids);
    }
    this.show();
  }

  async restore(key, ids) {
    for (const id of ids) {
      // A file that is gone, or cannot be read now, is not attached.
      const file = await get(`/file/${id}`).catch(() => null);
      if (file) this.insert(key, { file });
    }
  }

  /** Attach files of this computer. Return what could not be attached, in words. */
  add(blobs) {
    const limits = this.plan.status?.files;
    const most = limits?.max_per_message ?? MOST_FILES;
    const taken = blobs.slice(0, Math.max(0, most - this.shown.length));
    const { key } = this;
    for (const blob of taken) {
      this.insert(key, { blob }, refusalOf(blob, limits));
    }
    const uploading = this.shown.filter(({ blob, isWaiting }) => isWaiting && taken.includes(blob));
    this.list.scrollLeft = this.list.scrollWidth;
    if (uploading.length) announce(`Uploading ${namesOf(uploading)}.`);
    const left = blobs.length - taken.length;
    if (!left) return "";
    return `A message may have ${count(most, "file")}: ${count(left, "file")} ${left === 1 ? "was" : "were"} not attached.`;
  }

  insert(key, source, refusal = null) {
    const attachment = new Attachment({ ...source, onChange: () => this.changed(attachment) });
    Object.assign(attachment, { key, chip: new Chip(attachment) });
    attachment.chip.removeButton.addEventListener("click", () => this.remove(attachment));
    attachment.chip.retryButton.addEventListener("click", () => attachment.run());
    this.drafts.get(key).push(attachment);
    if (refusal) attachment.set("refused", refusal);
    else attachment.run();
    if (key === this.key) this.show();
  }

  changed(attachment) {
    const { key, file, name, state, stateText, chip } = attachment;
    const first = this.drafts.get(key).find((other) => file && other.file?.id === file.id);
    if (first && first !== attachment) {
      // The same bytes are the same file.
      announce(`${name} is attached already.`);
      return this.drop(attachment);
    }
    chip.show(attachment);
    const isNew = attachment.announced !== state;
    attachment.announced = state;
    if (isNew && state !== "uploading") announce(`${name}: ${stateText}`);
    this.store(key);
    if (key === this.key) this.showState();
  }

  /** Remove a file from the message; the focus goes to its neighbour, or to the button. */
  remove(attachment) {
    const index = this.shown.indexOf(attachment);
    this.drop(attachment);
    const next = this.shown[index] ?? this.shown.at(-1);
    (next?.chip.removeButton ?? byId("attach")).focus();
    announce(`${attachment.name} is removed.`);
  }

  drop(attachment) {
    const { key } = attachment;
    attachment.remove();
    this.drafts.set(key, this.drafts.get(key).filter((other) => other !== attachment));
    this.store(key);
    if (key === this.key) this.show();
  }

  /** Remove the sent files. Files that came since go to the draft `newKey`. */
  sent({ key, ids }, newKey = key) {
    const left = this.drafts.get(key).filter(({ file }) => !ids.includes(file?.id));
    this.drafts.delete(key);
    this.store(key);
    for (const attachment of left) attachment.key = newKey;
    this.drafts.set(newKey, left);
    this.store(newKey);
    this.key = this.key === key ? newKey : this.key;
    this.show();
  }

  /** Find out which files the server still has, after it refused one. */
  refresh() {
    return Promise.all(this.shown.map((attachment) => attachment.refresh()));
  }

  store(key) {
    const ids = (this.drafts.get(key) ?? []).map(({ file }) => file?.id).filter(Boolean);
    if (ids.length) sessionStorage.setItem(storageKey(key), JSON.stringify(ids));
    else sessionStorage.removeItem(storageKey(key));
  }

  show() {
    const elements = this.shown.map(({ chip }) => chip.element);
    // Only what changed, or the focus and the scroll position would be lost.
    for (const other of [...this.list.children]) if (!elements.includes(other)) other.remove();
    elements.forEach((element, index) => {
      if (this.list.children[index] !== element) this.list.insertBefore(element, this.list.children[index] ?? null);
    });
    toggle(this.list, elements.length > 0, byId("attach"));
    this.showState();
  }

  showState() {
    const notes = notesOn(this.shown, { status: this.plan.status, model: this.model() });
    showNotes(byId("chips-notes"), notes, { onUpgrade: this.onUpgrade, onFull: this.onFull });
    this.onChange();
  }
}

const storageKey = (key) => `files:${key}`;

const namesOf = (attachments) =>
  attachments.length === 1 ? attachments[0].name : count(attachments.length, "file");
