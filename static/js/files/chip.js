// A file of an unsent message, as an item of the list above the message box.

import { fromTemplate, toggle } from "../ui.js";
import { showPicture } from "./addresses.js";
import { formatSize, showIcon, showName } from "./words.js";

export class Chip {
  constructor(source) {
    this.element = fromTemplate("chip-template");
    this.picture = this.find(".file-picture");
    this.state = this.find(".chip-state");
    this.removeButton = this.find("[data-remove]");
    this.retryButton = this.find("[data-retry]");
    this.describe(source);
  }

  /** Show name, size and kind: the server may know others than this computer. */
  describe({ name, size, kind }) {
    this.size = size;
    this.removeButton.ariaLabel = `Remove ${name}`;
    this.retryButton.ariaLabel = `Retry ${name}`;
    showName(this.find(".file-name"), name);
    if (!this.find("img")) showIcon(this.picture, kind);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Show a state in words. */
  show({ state, stateText, file }) {
    this.element.dataset.state = state;
    if (file) this.describe(file);
    this.state.textContent = [this.size && formatSize(this.size), stateText].filter(Boolean).join(" · ");
    toggle(this.retryButton, state === "failed", this.removeButton);
    if (file?.thumbnail_url && !this.find("img")) this.showThumbnail(file);
  }

  showThumbnail(file) {
    const image = document.createElement("img");
    image.alt = file.name;
    this.picture.replaceChildren(image);
    showPicture(image, file);
  }
}
