// The files of a message: pictures as thumbnails, other kinds as rows.

import { fromTemplate } from "../ui.js";
import { openBy, showPicture } from "./addresses.js";
import { Chip } from "./chip.js";
import { describeFile, showIcon, showName } from "./words.js";

const [WIDEST, HIGHEST] = [320, 256];

/** Show files in a list. A list with the same files stays, or its pictures would load again. */
export function showFiles(list, files) {
  const content = JSON.stringify(files.map(({ id, status }) => [id, status]));
  if (list.drawn === content) return;
  list.drawn = content;
  list.replaceChildren(...files.map(itemOf));
  list.hidden = !files.length;
}

function itemOf(file) {
  if (file.status === "deleted") return deletedItem(file);
  const item = file.kind === "image" ? pictureItem(file) : rowItem(file);
  const onGone = () => item.replaceWith(deletedItem(file));
  openBy(item.querySelector("a"), file, { onGone });
  const image = item.querySelector("img");
  if (image) showPicture(image, file, { onGone });
  return item;
}

function pictureItem(file) {
  const item = fromTemplate("picture-template");
  const image = item.querySelector("img");
  const scale = Math.min(1, WIDEST / file.width, HIGHEST / file.height);
  // The size is known before the picture, so the text below stays where it is.
  image.width = Math.round(file.width * scale);
  image.height = Math.round(file.height * scale);
  image.alt = file.name;
  item.querySelector("a").title = `Open ${file.name}`;
  return item;
}

function rowItem(file) {
  const item = fromTemplate("file-template");
  showIcon(item, file.kind);
  showName(item.querySelector(".file-name"), file.name);
  item.querySelector(".file-details").textContent = describeFile(file);
  return item;
}

function deletedItem({ name }) {
  const item = document.createElement("li");
  item.className = "deleted muted";
  item.textContent = `${name} was deleted`;
  return item;
}

/** Show the files of an edited message with a button to remove each; return those to send. */
export function chooseFiles(list, files, { focusFallback }) {
  const chosen = files.filter(({ status }) => status !== "deleted");
  const chips = chosen.map((file) => {
    const chip = new Chip(file);
    chip.show({ state: "ready", stateText: "", file });
    chip.removeButton.addEventListener("click", () => {
      const index = chosen.indexOf(file);
      chosen.splice(index, 1);
      chip.element.remove();
      list.hidden = !chosen.length;
      const next = list.children[index] ?? list.lastElementChild;
      (next?.querySelector("[data-remove]") ?? focusFallback).focus();
    });
    return chip.element;
  });
  list.replaceChildren(...chips);
  list.hidden = !chosen.length;
  return chosen;
}
