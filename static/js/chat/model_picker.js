// The list of models in a popover, for the chat or for another answer to the same prompt.

import { byId, fromTemplate, runSafely, toggle } from "../ui.js";
import { describe, levelName, models, tierName } from "./model_list.js";

const GAP_PIXELS = 8;
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

export class ModelPicker {
  // The button of another answer, and the function that takes its model; null for the chat.
  asked = null;

  /** `onLocked` is called for a model outside the plan. */
  constructor({ conversation, choice, onLocked }) {
    Object.assign(this, { conversation, choice, onLocked });
    this.button = byId("model-button");
    this.panel = byId("model-panel");
    this.menu = byId("model-menu");
    this.level = byId("thinking");
    this.panel.addEventListener("beforetoggle", ({ newState }) => {
      if (newState === "open") this.prepare();
      else this.finish(null);
    });
    // Tab out of the panel closes it, or it would cover the next element.
    this.panel.addEventListener("focusout", ({ relatedTarget: next }) => {
      if (next && next !== this.anchor && !this.panel.contains(next)) this.panel.hidePopover();
    });
    this.menu.addEventListener("keydown", (event) => this.move(event));
    this.menu.addEventListener("click", (event) => this.press(event.target.closest("button")));
    this.level.addEventListener("change", () => choice.setLevel(this.level.value));
    window.addEventListener("resize", () => this.place());
  }

  get anchor() {
    return this.asked?.button ?? this.button;
  }

  /** Let the user pick a model for another answer; the press of `button` opens the panel. */
  ask(button) {
    return new Promise((resolve) => {
      this.asked = { button, resolve };
    });
  }

  finish(model) {
    this.asked?.resolve(model);
    this.asked = null;
  }

  /** Show the choice on the button of the message form. */
  show() {
    const { model } = this.choice;
    this.button.disabled = this.conversation.isLoading || !model;
    const level = model && !models.isOffline && models.levelOf(model);
    byId("model-name").textContent = models.isOffline ? "Without Gemini" : (model?.label ?? "Model");
    byId("model-level").textContent = level ? levelName(level) : "";
    if (!this.panel.matches(":popover-open")) return;
    // Another chat is being opened.
    if (this.button.disabled) this.panel.hidePopover();
    else this.draw();
  }

  prepare() {
    byId("model-title").textContent = this.asked ? "Answer again with" : "Model";
    this.draw();
    this.place();
    runSafely(() => models.ready());
  }

  /** Draw the entries; the focus stays at its entry. */
  draw() {
    const focused = this.menu.contains(document.activeElement) ? document.activeElement.value : null;
    byId("model-note").hidden = !models.isOffline;
    const items = models.entries.filter(({ name }) => name || !this.asked).map((model) => this.item(model));
    this.menu.replaceChildren(...items);
    if (focused !== null) this.focus(items.find((item) => item.value === focused) ?? items[0]);
    // By autofocus the focus moves as the panel opens; the event after the opening comes later than a
    // quick key.
    else if (items.length) Object.assign(this.entry, { tabIndex: 0, autofocus: true });
    this.drawLevels();
  }

  drawLevels() {
    const { model } = this.choice;
    const levels = this.asked || models.isOffline ? [] : (model?.thinking_levels ?? []);
    toggle(byId("thinking-field"), levels.length > 0, this.anchor);
    if (!levels.length) return;
    const auto = model.default_thinking ? `Auto (${levelName(model.default_thinking)})` : "Auto";
    const options = levels.map((level) => new Option(levelName(level), level));
    this.level.replaceChildren(new Option(auto, ""), ...options);
    this.level.value = models.levelOf(model);
  }

  item(model) {
    const item = fromTemplate("model-template");
    const [name, badge, line] = [".model-label", ".badge", ".model-line"].map((part) => item.querySelector(part));
    const isLocked = !models.isOffline && !this.canChoose(model);
    const isChecked = !this.asked && !models.isOffline && model === this.choice.model;
    Object.assign(item, { value: model.name, role: isLocked ? "menuitem" : "menuitemradio" });
    if (!isLocked) item.ariaChecked = String(isChecked);
    if (models.isOffline) item.ariaDisabled = "true";
    item.classList.toggle("locked", isLocked);
    name.textContent = model.label;
    badge.textContent = tierName(model.tier);
    badge.hidden = !model.tier;
    badge.classList.toggle("muted", model.tier === "basic");
    line.textContent = [model.default && "Default", describe(model)].filter(Boolean).join(": ");
    item.querySelector(".model-locked").hidden = !isLocked;
    return item;
  }

  /** Whether the user may choose a model; the server's default is for every plan. */
  canChoose(model) {
    return model.available || (model.default && !this.asked);
  }

  press(item) {
    if (!item || models.isOffline) return;
    const model = models.entries.find(({ name }) => name === item.value);
    const { anchor, asked } = this;
    const isOffered = this.canChoose(model);
    if (isOffered) this.finish(model);
    this.panel.hidePopover();
    anchor.focus({ preventScroll: true });
    if (!isOffered) return this.onLocked();
    if (!asked) runSafely(() => this.choice.choose(model));
  }

  /** The entry at which the keyboard enters the menu. */
  get entry() {
    return this.menu.querySelector("[aria-checked=true]") ?? this.menu.firstElementChild;
  }

  /** Move the focus by arrow; one entry is a stop of Tab. */
  move(event) {
    const items = [...this.menu.children];
    const index = items.indexOf(document.activeElement);
    const ends = { Home: 0, End: items.length - 1 };
    const next = ends[event.key] ?? (index + STEPS[event.key] + items.length) % items.length;
    if (!items[next]) return;
    event.preventDefault();
    this.focus(items[next]);
  }

  focus(item) {
    for (const other of this.menu.children) other.tabIndex = other === item ? 0 : -1;
    item.focus();
  }

  /** Place the panel above its button, or below where more is free. */
  place() {
    const { left, right } = this.anchor.getBoundingClientRect();
    const around = this.anchor.closest(".composer-box") ?? this.anchor;
    const { top, bottom } = around.getBoundingClientRect();
    const isAbove = top > innerHeight - bottom;
    const isAtEnd = left + right > innerWidth;
    const most = `100vw - var(--panel-width) - ${GAP_PIXELS}px`;
    const { style } = this.panel;
    style.left = isAtEnd ? "auto" : `min(${left}px, ${most})`;
    style.right = isAtEnd ? `min(${innerWidth - right}px, ${most})` : "auto";
    style.top = isAbove ? "auto" : `${bottom + GAP_PIXELS}px`;
    style.bottom = isAbove ? `${innerHeight - top + GAP_PIXELS}px` : "auto";
    style.maxHeight = `${(isAbove ? top : innerHeight - bottom) - 2 * GAP_PIXELS}px`;
  }
}
