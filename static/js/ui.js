// What every part of the page uses: its elements, its dialogs, and what it says aloud.

import { Problem } from "./api/problem.js";
import { SignedOut } from "./api/session.js";

export const byId = (id) => document.getElementById(id);

/** A new element from the <template> of that id. */
export const stamp = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** Tell screen readers what has happened, without moving anything. */
export function say(text) {
  byId("said").textContent = text;
}

/** Show what went wrong beside nothing in particular. A session that is over leads to signing in. */
export function fail(error) {
  if (error instanceof SignedOut) return location.replace("/");
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) console.error(error);
  byId("failure-text").textContent =
    error instanceof Problem ? inWords(error) : "Something went wrong in this page. Reload it.";
  byId("failure").hidden = false;
}

/** What a problem says to a person. */
export function inWords({ message, quota }) {
  if (!quota) return message;
  const [answers, reset] = [quota.limit === 1 ? "answer" : `${quota.limit} answers`, quota.resets_at];
  return `You have used today's ${answers}. The next ones are there at ${time(reset)} your time.`;
}

/** Show or hide an element. A focus in what is hidden goes to `heir`, or it would be lost. */
export function toggle(element, isShown, heir) {
  const losesFocus = !isShown && element.contains(document.activeElement);
  element.hidden = !isShown;
  if (losesFocus) heir.focus({ preventScroll: true });
}

/** Whether what had the focus is no longer on the page, so that the keyboard would begin anew. */
export function isFocusLost() {
  const { activeElement: place } = document;
  return place === null || place === document.body || !place.checkVisibility();
}

export function forgetFailure() {
  byId("failure").hidden = true;
}

/** Run something that may fail; what goes wrong is shown. */
export const attempt = (action) => Promise.resolve().then(action).catch(fail);

/** Put an error into words at a field, or take it away. */
export function explain(field, words = "") {
  byId(`${field.id}-error`).textContent = words;
  field.ariaInvalid = words ? "true" : null;
}

/** Ask before something that cannot be undone. */
export async function confirmed({ title, text, yes }) {
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  return (await answered(byId("confirm"))) === "yes";
}

let answer = Promise.resolve("");

/**
 * Open a dialog; the value it is closed with, empty for Escape. A browser tells of a closing a
 * frame later: whoever asks at once waits for that, or would take it for their own answer.
 */
export function answered(dialog) {
  answer = answer.then(() => {
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    });
  });
  return answer;
}

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export const day = (text) => DAY.format(new Date(text));
export const time = (text) => TIME.format(new Date(text));

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
