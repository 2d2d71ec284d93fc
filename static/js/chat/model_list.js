// The models of the server, in words for people, and the user's last choice in this browser.

import { get } from "../api/client.js";
import { userId } from "../api/session.js";

const LEVELS = { minimal: "Minimal", low: "Low", medium: "Medium", high: "High", xhigh: "Extra high" };
const KINDS = { text: "text", image: "pictures", pdf: "PDFs", audio: "audio" };
const COUNT = new Intl.NumberFormat("en", { notation: "compact", compactDisplay: "long" });
const LIST = new Intl.ListFormat("en");
const REFUSALS = ["unknown_model", "model_not_in_plan", "unsupported_by_model", "unsupported_by_backend"];
// The default model may be outside the list.
const UNLISTED_DEFAULT = {
  name: "",
  label: "Default model",
  tier: "",
  available: true,
  default: true,
  modalities: [],
  thinking_levels: [],
};

class ModelList {
  entries = [];

  /** Called after the list was loaded. */
  onLoad = () => {};

  async load() {
    const models = await get("/model/");
    this.entries = models.some((model) => model.default) ? models : [UNLISTED_DEFAULT, ...models];
    this.onLoad();
  }

  /** Load the list, if it is missing; parallel calls share one request. */
  ready() {
    this.loading ??= this.load().catch((error) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  /** Load the list again after an answer that the list is out of date. */
  async reloadAfter(error) {
    if (isRefusal(error)) await this.load();
  }

  /** Each plan has the models of Basic: without these the server has no models at all. */
  get isOffline() {
    return this.entries.some(({ tier, available }) => tier === "basic" && !available);
  }

  /** The entry of a room's model. A model that is not offered becomes the server's default. */
  find(name) {
    const found = this.entries.find((model) => model.name === name && model.available);
    return found ?? this.entries.find((model) => model.default);
  }

  /** The name for people. Gemini reports some models with a version after the name. */
  label(name) {
    const isNamed = (model) => model.name && /^(-[\d-]+)?$/.test(name.slice(model.name.length));
    const found = this.entries.find((model) => name?.startsWith(model.name) && isNamed(model));
    return found?.label ?? name;
  }

  get storageKey() {
    return `models:${userId()}`;
  }

  get stored() {
    try {
      return JSON.parse(localStorage.getItem(this.storageKey)) ?? {};
    } catch {
      // A browser may forbid the storage: a send must not fail for that.
      return {};
    }
  }

  /** The model of the last choice; empty for the server's default. */
  get lastChoice() {
    return this.stored.model ?? "";
  }

  set lastChoice(model) {
    this.store({ model });
  }

  /** The chosen thinking level of a model; empty for none. */
  levelOf({ name, thinking_levels: levels }) {
    const level = this.stored.levels?.[name];
    return levels.includes(level) ? level : "";
  }

  setLevel({ name }, level) {
    this.store({ levels: { ...this.stored.levels, [name]: level } });
  }

  store(fields) {
    try {
      localStorage.setItem(this.storageKey, JSON.stringify({ ...this.stored, ...fields }));
    } catch {
      // Forbidden or full: the choice holds for this page alone.
    }
  }

  erase() {
    try {
      localStorage.removeItem(this.storageKey);
    } catch {
      // Forbidden, so nothing was stored.
    }
  }
}

export const models = new ModelList();

/** The value of a room's model; empty for the server's default, which the server may change. */
export const valueOf = (model) => (model.default ? "" : model.name);

/** Whether the server refused a model or a thinking level. */
export const isRefusal = ({ code }) => REFUSALS.includes(code);

export const levelName = (level) => LEVELS[level] ?? level;

export const tierName = (tier) => tier.charAt(0).toUpperCase() + tier.slice(1);

/** The capabilities of a model on a line. */
export function describe({ context_window: size, thinking_levels: levels, modalities }) {
  if (!size) return "chosen by this server";
  const [least, most] = [levels[0], levels.at(-1)].map((level) => levelName(level)?.toLowerCase());
  const range = least === most ? `thinks at ${least}` : `thinks from ${least} to ${most}`;
  return [
    `${COUNT.format(size)} tokens of context`,
    levels.length && range,
    `reads ${LIST.format(modalities.map((kind) => KINDS[kind] ?? kind))}`,
  ]
    .filter(Boolean)
    .join(", ");
}
