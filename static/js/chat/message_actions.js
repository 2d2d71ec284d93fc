// The actions of a message: a button's data-do names a method.

import { RetryKey, call, newKey, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { sleep } from "../time.js";
import { announce, ask, byId, problemText, runSafely, setFieldError, showFailure } from "../ui.js";
import { models } from "./model_list.js";

export class MessageActions {
  constructor(conversation) {
    this.conversation = conversation;
  }

  act(event) {
    const button = event.target.closest("button[data-do]");
    const element = button?.closest(".message");
    const view = this.conversation.views.find((item) => item.element === element);
    if (view) runSafely(() => this[button.dataset.do](view, button));
  }

  copy(view, button) {
    return copyText(view.message.content, button);
  }

  copyCode(view, button) {
    return copyText(button.closest(".code-block").querySelector("pre").textContent, button);
  }

  good(view) {
    return this.rate(view, view.message.feedback?.rating === 1 ? 0 : 1);
  }

  async bad(view) {
    const isTakenBack = view.message.feedback?.rating === -1;
    await this.rate(view, isTakenBack ? 0 : -1);
    if (isTakenBack) return;
    const comment = byId("comment-text");
    comment.value = "";
    const isSent = await ask(byId("comment"));
    if (isSent && comment.value.trim()) await this.rate(view, -1, comment.value);
  }

  async rate(view, rating, comment = "") {
    const answer = await call("PUT", `/message/${view.id}/feedback`, { body: { rating, comment } });
    view.update(await answer.json());
    announce(rating ? "Thank you. Your rating is saved." : "Your rating is removed.");
  }

  regenerate(view) {
    return this.answerAgain(view, {});
  }

  /** Answer again by a model of the user's choice; the room's model stays. */
  async regenerateBy(view, button) {
    const model = await this.conversation.pickModel(button);
    if (!model) return;
    try {
      await this.answerAgain(view, { model: model.name, thinking: models.levelOf(model) || "auto" });
    } catch (error) {
      showFailure(error);
      await models.reloadAfter(error);
    }
  }

  async answerAgain(view, body) {
    const { data } = await post(`/message/${view.id}/regenerate`, body, { key: newKey() });
    await this.conversation.showVersion(data.reply.id);
    this.conversation.notifyExchange();
  }

  continue() {
    return this.conversation.onContinue();
  }

  edit(view) {
    this.conversation.views.find((item) => item.isEdited)?.cancelEdit();
    const retryKey = new RetryKey();
    view.edit(async (field, files) => {
      const body = { prompt: field.value, ...(view.message.files.length && { files }) };
      try {
        const key = retryKey.keyFor(JSON.stringify(body));
        const { data } = await post(`/message/${view.id}/edit`, body, { key });
        view.cancelEdit();
        await this.conversation.showVersion(data.message.id);
        this.conversation.notifyExchange();
      } catch (error) {
        if (!(error instanceof Problem)) return showFailure(error);
        setFieldError(field, error.fieldError("prompt") ?? problemText(error));
      }
    });
  }

  cancelEdit(view) {
    view.cancelEdit();
  }

  previousVersion(view, button) {
    return this.switchVersion(view.variant(-1), button.dataset.do);
  }

  nextVersion(view, button) {
    return this.switchVersion(view.variant(1), button.dataset.do);
  }

  /** Show another version; focus its same button, or at the end the neighbour. */
  async switchVersion(id, pressed) {
    await post(`/message/${id}/select`);
    const shown = await this.conversation.showVersion(id);
    if (!shown) return;
    const buttons = ["previousVersion", "nextVersion"].map((name) => shown.button(name));
    const same = shown.button(pressed);
    (same.disabled ? buttons.find((button) => !button.disabled) : same).focus();
    announce(`Version ${shown.find(".which").textContent}`);
  }
}

async function copyText(text, button) {
  await navigator.clipboard.writeText(text);
  announce("Copied.");
  button.classList.add("done");
  await sleep(1.5);
  button.classList.remove("done");
}
