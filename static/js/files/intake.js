// The three ways of a file into the message box: the button, drop and paste.

import { byId } from "../ui.js";

/** `onFiles` takes files of this computer; `isOpen` checks whether the message box takes some. */
export function takeFiles({ onFiles, isOpen }) {
  const picker = byId("file-picker");
  byId("attach").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const files = [...picker.files];
    // Or the same file could not be picked again.
    picker.value = "";
    onFiles(files);
  });
  byId("prompt").addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    // A word processor copies text also as a picture.
    const isText = types.includes("text/html") && types.includes("text/plain");
    if (!files.length || isText) return;
    event.preventDefault();
    onFiles([...files]);
  });
  takeDrops({ onFiles, isOpen });
}

function takeDrops({ onFiles, isOpen }) {
  const [conversation, area] = [byId("conversation"), byId("drop-area")];
  const takes = (event) => isOpen() && conversation.contains(event.target);
  const onFileDrag = (name, handle) =>
    document.addEventListener(name, (event) => {
      if (event.dataTransfer?.types.includes("Files")) handle(event);
    });
  onFileDrag("dragover", (event) => {
    // Everywhere, or a file that misses the conversation would replace the page.
    event.preventDefault();
    event.dataTransfer.dropEffect = takes(event) ? "copy" : "none";
    area.hidden = !takes(event);
  });
  onFileDrag("dragleave", (event) => {
    if (!conversation.contains(event.relatedTarget)) area.hidden = true;
  });
  onFileDrag("drop", (event) => {
    event.preventDefault();
    area.hidden = true;
    if (takes(event)) onFiles(filesOf(event.dataTransfer));
  });
}

/** The dropped files, without folders. */
function filesOf({ items }) {
  const files = [...items].filter(({ kind }) => kind === "file");
  return files.filter((item) => !item.webkitGetAsEntry()?.isDirectory).map((item) => item.getAsFile());
}
