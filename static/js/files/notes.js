// What a person should know about the attached files before the send.

import { announce } from "../ui.js";

const PLURALS = { image: "pictures", pdf: "PDFs", audio: "audio", text: "text files" };

/** The notes on attachments: texts, each with what it offers. */
export function notesOn(attachments, { status, model }) {
  const isBasic = status?.tier === "basic";
  const codes = attachments.map(({ code }) => code);
  const notes = [];
  if (codes.includes("file_too_large") && isBasic) {
    notes.push({ text: "Pro takes larger files.", offersUpgrade: true });
  }
  if (codes.includes("storage_full")) {
    notes.push({ text: "Delete files to make space.", opensFiles: true, offersUpgrade: isBasic });
  }
  const tokens = attachments.reduce((sum, { isReady, file }) => sum + (isReady ? file.tokens : 0), 0);
  const most = status?.files.max_tokens_per_message ?? Infinity;
  if (tokens > most) notes.push({ text: tooManyTokens(tokens, most), offersUpgrade: isBasic });
  const unread = unreadKinds(attachments, model).map((kind) => PLURALS[kind]);
  if (unread.length) {
    const kinds = new Intl.ListFormat("en", { type: "disjunction" }).format(unread);
    notes.push({ text: `${model.label} does not read ${kinds}. Choose another model, or remove the file.` });
  }
  return notes;
}

function tooManyTokens(tokens, most) {
  const [many, allowed] = [tokens, most].map((number) => number.toLocaleString("en"));
  return `The files are too long for one message: about ${many} tokens, and ${allowed} is the limit. Remove some.`;
}

/** The kinds of ready attachments that a model does not read. */
function unreadKinds(attachments, model) {
  // Text goes to Gemini in the prompt. The list lacks the default model's capabilities at times.
  if (!model?.modalities.length) return [];
  const kinds = new Set(attachments.filter(({ isReady }) => isReady).map(({ kind }) => kind));
  return [...kinds].filter((kind) => kind !== "text" && !model.modalities.includes(kind));
}

/** Show notes, unless the same are there: a focused button stays. */
export function showNotes(element, notes, { onUpgrade, onFull }) {
  const content = JSON.stringify(notes);
  if (element.drawn === content) return;
  element.drawn = content;
  element.replaceChildren(...notes.map((note) => noteElement(note, { onUpgrade, onFull })));
  if (notes.length) announce(notes.map(({ text }) => text).join(" "));
}

function noteElement({ text, offersUpgrade, opensFiles }, { onUpgrade, onFull }) {
  const note = document.createElement("p");
  const refusal = document.createElement("span");
  refusal.className = "error";
  note.append(text);
  if (opensFiles) note.append(" ", button("Your files", onFull));
  if (offersUpgrade) note.append(" ", button("Upgrade to Pro", () => onUpgrade(refusal)), " ", refusal);
  return note;
}

function button(text, onClick) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "button small", textContent: text });
  made.addEventListener("click", onClick);
  return made;
}
