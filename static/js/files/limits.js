// What can be refused before a byte is sent. The server checks everything again, by the content.

import { formatLimit } from "./words.js";

const PICTURES = /^image\/(jpeg|png|webp|gif)$/;
const AUDIO = /^audio\/.*(wav|wave|mpeg|mp3|aiff|aac|adts|ogg|opus|flac)$/;
const NEVER = /^(image|audio|video|font)\/|zip|compressed|x-tar|x-7z|rar|msword|ms-excel|ms-powerpoint|officedocument|opendocument/;
const MOST_TEXT_BYTES = 2 ** 20;
const SUPPORTED = "only JPEG, PNG, WEBP and GIF pictures, PDFs, audio and texts can be attached";

/** The refusal of a file of this person's computer, or null. `limits` is null while unknown. */
export function refusalOf(blob, limits) {
  if (!blob.size) return { code: "file_empty", detail: "the file is empty" };
  if (isUnsupported(blob)) return { code: "unsupported_file_type", detail: SUPPORTED };
  const most = limits?.max_bytes ?? Infinity;
  if (blob.size > most) return tooLarge(`a file may have at most ${formatLimit(most)}`, "file_too_large");
  if (kindOf(blob) === "text" && blob.type && blob.size > MOST_TEXT_BYTES) {
    return tooLarge(`a text may have at most ${formatLimit(MOST_TEXT_BYTES)}`, "text_too_large");
  }
  return null;
}

const tooLarge = (detail, code) => ({ code, detail });

function isUnsupported({ type, name }) {
  if (PICTURES.test(type) || AUDIO.test(type)) return false;
  // A browser takes TypeScript for video.
  if (/\.ts$/i.test(name)) return false;
  return NEVER.test(type);
}

/** The kind by the type that the browser guesses; the server may find another. */
export function kindOf({ type }) {
  if (type.startsWith("image/")) return "image";
  if (type.startsWith("audio/")) return "audio";
  return type === "application/pdf" ? "pdf" : "text";
}
