// The model of the shown chat: the room's default, or the choice for a new chat.

import { call } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { showFailure } from "../ui.js";
import { models, valueOf } from "./model_list.js";

export class ModelChoice {
  // By room: the model that is being saved, and the end of the saving.
  saves = new Map();

  /** `onChange` is called when another model or level is in force. */
  constructor({ conversation, onChange }) {
    Object.assign(this, { conversation, onChange });
  }

  /** Start with the last choice, if this is a new chat. */
  open() {
    this.drafted = null;
  }

  /** The name of a room's model, or of a new chat's for null; empty for the server's default. */
  valueIn(room) {
    if (room) return this.saves.get(room.id)?.model ?? room.model;
    // Read once: another window may choose meanwhile.
    this.drafted ??= models.lastChoice;
    return this.drafted;
  }

  /** The model in force; undefined before the list is loaded. */
  get model() {
    return this.modelIn(this.conversation.room);
  }

  modelIn(room) {
    return models.entries.length ? models.find(this.valueIn(room)) : undefined;
  }

  /** What a send to a room, or to a new chat for null, may name: the model and a thinking level. */
  async request(room) {
    // Without the list the server chooses.
    await models.ready().catch(() => {});
    const model = this.modelIn(room);
    if (!model || models.isOffline) return { model: "", thinking: "" };
    return { model: valueOf(model), thinking: models.levelOf(model) };
  }

  choose(model) {
    const { room } = this.conversation;
    if (room) return this.save(room, valueOf(model));
    this.drafted = models.lastChoice = valueOf(model);
    this.onChange();
  }

  setLevel(level) {
    models.setLevel(this.model, level);
    this.onChange();
  }

  /** Save the model of a room, after the savings before. */
  save(room, model) {
    const before = this.saves.get(room.id)?.done;
    const save = { model };
    save.done = Promise.resolve(before).then(async () => {
      const isSaved = await this.patch(room, model);
      if (this.saves.get(room.id) === save) this.saves.delete(room.id);
      this.onChange();
      return isSaved;
    });
    this.saves.set(room.id, save);
    this.onChange();
    return save.done;
  }

  async patch(room, model) {
    try {
      const answer = await call("PATCH", `/chatroom/${room.id}`, { body: { model } });
      const saved = (await answer.json()).model;
      room.model = saved;
      if (this.conversation.room?.id === room.id) this.conversation.room.model = saved;
      models.lastChoice = saved;
      return true;
    } catch (error) {
      if (error instanceof Problem) {
        error.message = `The model of “${room.title}” was not changed. ${error.message}`;
      }
      showFailure(error);
      await models.reloadAfter(error).catch(() => {});
      return false;
    }
  }

  /** Wait for the saving of a room's model; false if the room has another model than chosen. */
  async settled(room) {
    return (await this.saves.get(room.id)?.done) ?? true;
  }

  /**
   * Show the model of the accepted reply, as another window may have changed the room's. A choice
   * made since the send stays. `sent` is the room's model at the send.
   */
  accepted(room, reply, sent) {
    if (room.model === sent) room.model = reply.model;
    this.onChange();
  }

  /** Take the choice made since the first send over into the new room. */
  adopt(room, sent) {
    const chosen = this.modelIn(null);
    if (chosen && valueOf(chosen) !== sent) this.save(room, valueOf(chosen));
  }
}
