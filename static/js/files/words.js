// Files in words and icons for people.

import { formatDate } from "../time.js";

const UNITS = [
  [1e9, "gigabyte"],
  [1e6, "megabyte"],
  [1e3, "kilobyte"],
  [1, "byte"],
];
const KINDS = { image: "Picture", pdf: "PDF", audio: "Audio", text: "Text" };
const [UNCUT_LETTERS, LETTERS_AT_END] = [16, 10];

/** A size such as "1.2 MB". */
export function formatSize(bytes) {
  const [size, unit] = UNITS.find(([least]) => bytes >= least) ?? UNITS.at(-1);
  const unitDisplay = unit === "byte" ? "long" : "short";
  const options = { style: "unit", unit, unitDisplay, maximumFractionDigits: unit === "kilobyte" ? 0 : 1 };
  return new Intl.NumberFormat("en", options).format(bytes / size);
}

/** A limit as the server counts it, such as "20 MiB". */
export const formatLimit = (bytes) => `${Math.round((bytes / 2 ** 20) * 100) / 100} MiB`;

/** Show a name. The style sheet cuts a long name before its end, so that the type stays. */
export function showName(element, name) {
  const letters = [...name];
  element.title = name;
  if (letters.length <= UNCUT_LETTERS) return element.replaceChildren(name);
  const parts = [letters.slice(0, -LETTERS_AT_END), letters.slice(-LETTERS_AT_END)].map((part) => {
    const span = document.createElement("span");
    span.ariaHidden = "true";
    span.textContent = part.join("");
    return span;
  });
  const whole = document.createElement("span");
  Object.assign(whole, { className: "hidden", textContent: name });
  element.replaceChildren(...parts, whole);
}

/** Show the icon of a kind in an element with an icon. */
export function showIcon(element, kind) {
  const use = element.querySelector("use");
  const href = use.getAttribute("href").replace(/#.*/, `#${kind}`);
  // A browser loads the icons again at each change.
  if (use.getAttribute("href") !== href) use.setAttribute("href", href);
}

/** Size, pages and length of a stored file. */
export function describeFile({ size, pages, seconds }) {
  const length = pages && (pages === 1 ? "1 page" : `${pages.toLocaleString("en")} pages`);
  return [size && formatSize(size), length, seconds && formatLength(seconds)].filter(Boolean).join(" · ");
}

/** Kind, size, pages, length and date of a stored file. */
export function describeStored(file) {
  const parts = [KINDS[file.kind], describeFile(file), formatDate(file.created_at)];
  if (file.status === "refused") parts.push("Refused");
  return parts.join(" · ");
}

/** Minutes and seconds, such as "1:05". */
function formatLength(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const count = (number, noun) => (number === 1 ? `1 ${noun}` : `${number} ${noun}s`);
