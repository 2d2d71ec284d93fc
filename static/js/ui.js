// Used by every page: elements, dialogs, errors, and announcements to screen readers.

import { Problem } from "./api/problem.js";
import { SignedOut } from "./api/session.js";
import { formatTime } from "./time.js";

// Words for people, where those of the server name fields of the API.
const SENTENCES = {
  unknown_model: "This model is not offered any more. Choose another, and send again.",
  unsupported_by_model: "The model does not think at this level. Choose another level, and send again.",
  file_not_ready: "A file is still being checked. Send again in a moment.",
  file_deleted: "A file of this message was deleted. Remove it, and send again.",
  file_unknown: "A file of this message was deleted. Remove it, and send again.",
  unsupported_by_backend: "This server does not offer the chosen model or level now. Send again without.",
};

// The server's words for a model that does not read a file are for people.
const ON_FILES = /^[^.]* reads no /;

export const byId = (id) => document.getElementById(id);

/** Make an element from the <template> of that id. */
export const fromTemplate = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** Tell screen readers what has happened, without moving anything. */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** Show an error that belongs to no field. An ended session leads to the sign-in page. */
export function showFailure(error) {
  if (error instanceof SignedOut) return location.replace("/");
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) console.error(error);
  byId("failure-text").textContent =
    error instanceof Problem ? problemText(error) : "Something went wrong in this page. Reload it.";
  byId("failure").hidden = false;
}

/** The text of a problem, with the time of the next answers where the quota is used up. */
export function problemText({ message, code, quota }) {
  if (!quota) return ON_FILES.test(message) ? message : (SENTENCES[code] ?? message);
  const [answers, reset] = [quota.limit === 1 ? "answer" : `${quota.limit} answers`, quota.resets_at];
  return `You have used today's ${answers}. The next ones are there at ${formatTime(reset)} your time.`;
}

/** Show or hide an element. A focus inside a hidden one moves to `focusFallback`. */
export function toggle(element, isShown, focusFallback) {
  const losesFocus = !isShown && element.contains(document.activeElement);
  element.hidden = !isShown;
  if (losesFocus) focusFallback.focus({ preventScroll: true });
}

/** Whether the focused element has left the page, so that the keyboard would start at the top. */
export function isFocusLost() {
  const { activeElement: focused } = document;
  return focused === null || focused === document.body || !focused.checkVisibility();
}

export function hideFailure() {
  byId("failure").hidden = true;
}

/** Run an action and show its error. */
export const runSafely = (action) => Promise.resolve().then(action).catch(showFailure);

/** Show an error at a field; an empty text removes the error. */
export function setFieldError(field, text = "") {
  byId(`${field.id}-error`).textContent = text;
  field.ariaInvalid = text ? "true" : null;
}

/** Ask before an action that cannot be undone. */
export async function confirmAction({ title, text, yes }) {
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  return (await ask(byId("confirm"))) === "yes";
}

let lastAnswer = Promise.resolve("");

/**
 * Open a dialog and return its value, empty for Escape. A browser reports the closing a frame
 * later: the next question waits for the report, or would take it for its own answer.
 */
export function ask(dialog) {
  lastAnswer = lastAnswer.then(() => {
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    });
  });
  return lastAnswer;
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
