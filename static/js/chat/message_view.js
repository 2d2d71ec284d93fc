// One message on the page, updated in place, so that focus and selection stay.

import { chooseFiles, showFiles } from "../files/message_files.js";
import { fromTemplate } from "../ui.js";
import { render } from "./markdown.js";
import { models } from "./model_list.js";

// A whole answer that did not stop by itself. A failed reply has the sentence of its error.
const ENDINGS = {
  max_tokens: "The answer is cut off, as it became too long.",
  other: "Gemini ended the answer early, and gave no reason. You can ask again.",
};

const WAITS = {
  rate_limited: "Gemini is getting many requests from here.",
  unavailable: "Gemini is overloaded.",
};

export const isInProgress = ({ status }) => status === "queued" || status === "generating";

export class MessageView {
  constructor(message) {
    this.element = fromTemplate(message.sender === "user" ? "prompt-template" : "reply-template");
    this.element.id = `message-${message.id}`;
    this.content = this.find(".content");
    this.draft = "";
    this.update(message);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  get id() {
    return this.message.id;
  }

  get isReply() {
    return this.message.sender === "gemini";
  }

  update(message) {
    this.message = message;
    this.showVariants();
    if (!this.isReply) {
      if (!this.isEdited) this.showPrompt();
      return;
    }
    const inProgress = isInProgress(message);
    this.element.classList.toggle("in-progress", inProgress);
    if (!inProgress) this.draft = message.content;
    this.showContent();
    this.showState();
    for (const name of ["copy", "good", "bad", "regenerate"]) {
      this.button(name).hidden = inProgress || (name !== "regenerate" && !message.content);
    }
    this.button("good").ariaPressed = String(message.feedback?.rating === 1);
    this.button("bad").ariaPressed = String(message.feedback?.rating === -1);
    this.button("regenerateBy").hidden = inProgress;
    this.button("continue").hidden = inProgress || message.finish_reason !== "max_tokens";
    this.showAbout();
  }

  /** Show the model and the tokens of an answer. */
  showAbout() {
    if (!this.isReply) return;
    const { model, usage } = this.message;
    const words = [models.label(model), usage?.output_tokens && `${usage.output_tokens} tokens`];
    this.find(".about").textContent = isInProgress(this.message) ? "" : words.filter(Boolean).join(" · ");
  }

  /** Show a prompt as typed, with its files; it may be files alone. */
  showPrompt() {
    const { content, files } = this.message;
    this.content.textContent = content;
    this.content.hidden = this.button("copy").hidden = !content;
    showFiles(this.find(".message-files"), files);
  }

  button(name) {
    return this.find(`[data-do="${name}"]`);
  }

  /** Add text to an answer; it is drawn at most once a frame. */
  append(text) {
    this.message.waiting = null;
    this.draft += text;
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = null;
      this.showContent();
      this.showState();
      this.element.dispatchEvent(new Event("grown", { bubbles: true }));
    });
  }

  wait(waiting) {
    this.message.waiting = waiting;
    this.showState();
  }

  restart() {
    this.message.waiting = null;
    this.draft = "";
    this.showContent();
    this.showState();
  }

  showContent() {
    render(this.content, this.draft);
  }

  showState() {
    const text = this.stateText();
    const state = this.find(".state");
    state.hidden = !text;
    state.textContent = text;
    state.classList.toggle("error", this.message.status === "failed");
    clearTimeout(this.countdown);
    if (this.waitText()) this.countdown = setTimeout(() => this.showState(), 1000);
  }

  /** The wait for the next try in words; empty without a wait. */
  waitText() {
    const { waiting } = this.message;
    const seconds = waiting ? Math.ceil((new Date(waiting.retry_at) - Date.now()) / 1000) : 0;
    if (seconds <= 0 || !isInProgress(this.message)) return "";
    const when = seconds === 1 ? "1 second" : `${seconds} seconds`;
    return `${WAITS[waiting.reason] ?? "Gemini does not answer."} The next try is in ${when}.`;
  }

  stateText() {
    const { status, error, finish_reason: reason } = this.message;
    if (isInProgress(this.message)) return this.draft ? "" : this.waitText() || "Thinking…";
    if (status === "stopped") return "Stopped.";
    if (status === "failed") return `${error.detail} ${error.retryable ? "You can ask again." : ""}`;
    return ENDINGS[reason] ?? "";
  }

  showVariants() {
    const { sibling_ids: ids, id } = this.message;
    const index = ids.indexOf(id);
    this.find(".variants").hidden = ids.length < 2;
    this.find(".variants .which").textContent = `${index + 1}/${ids.length}`;
    this.button("previousVersion").disabled = index <= 0;
    this.button("nextVersion").disabled = index === ids.length - 1;
  }

  /** The id of the version `step` further, if any. */
  variant(step) {
    const ids = this.message.sibling_ids;
    return ids[ids.indexOf(this.id) + step];
  }

  /** Replace a prompt by a form; `cancelEdit` restores the prompt. */
  edit(onSubmit) {
    const form = fromTemplate("edit-template");
    this.content.replaceChildren(form);
    this.element.classList.add("editing");
    this.content.hidden = false;
    const text = form.querySelector("textarea");
    const list = form.querySelector(".chips");
    const files = chooseFiles(list, this.message.files, { focusFallback: text });
    text.value = this.message.content;
    text.focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      onSubmit(text, files.map(({ id }) => id));
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.cancelEdit();
    });
  }

  get isEdited() {
    return this.element.classList.contains("editing");
  }

  cancelEdit() {
    this.showPrompt();
    this.element.classList.remove("editing");
    this.button("edit").focus();
  }
}
