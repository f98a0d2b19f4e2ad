// Questions that are not accepted yet, shown below the thread: on their way, or failed with what can be done.

import { find, fromTemplate, onAction } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"

const SHOWN = 3000 // characters of a long question; the whole text is in the record
const SLOW_MS = 1500

export class Pending {
  #chat
  #queue
  #thread
  #composer
  #scroller
  #onNewConversation
  #area = find("[data-pending]")
  #elements = new Map() // client_id -> element

  constructor({ chat, queue, thread, composer, scroller, onNewConversation }) {
    this.#chat = chat
    this.#queue = queue
    this.#thread = thread
    this.#composer = composer
    this.#scroller = scroller
    this.#onNewConversation = onNewConversation
    onAction(this.#area, { resend: (button) => queue.retry(idOf(button)), "take-back": (button) => this.#takeBack(idOf(button)) })
  }

  // What an earlier page could not send.
  showStored() {
    for (const record of this.#queue.records(this.#chat.conversation)) this.#show(record)
  }

  changed({ kind, record, accepted }) {
    if (kind === "accepted") return this.#accepted(record, accepted)
    if (kind === "queued") this.#scroller.toEnd()
    this.#show(record)
  }

  #show(record) {
    const id = record.frame.client_id
    const known = this.#elements.get(id)
    const item = known ?? fromTemplate("pending")
    this.#elements.set(id, item)
    const { text } = record.frame
    const failed = record.state === "failed"
    item.dataset.clientId = id
    item.classList.toggle("message--failed", failed)
    find("[data-part=text]", item).textContent = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
    find("[data-words]", item).textContent = failed ? t("Not sent: {reason}", { reason: record.error }) : ""
    find("[data-steps]", item).hidden = !failed
    if (!known) this.#area.append(item)
    if (!failed) setTimeout(() => this.#sayWaiting(id), SLOW_MS)
    this.#scroller.follow()
  }

  #sayWaiting(id) {
    const item = this.#elements.get(id)
    if (item && !item.classList.contains("message--failed")) find("[data-words]", item).textContent = t("Waiting to be sent; it is kept.")
  }

  async #accepted(record, accepted) {
    if (!this.#chat.conversation) this.#onNewConversation(accepted.conversation)
    if (accepted.conversation === this.#chat.conversation) await this.#thread.showBranch(accepted.reply)
    this.#remove(record.frame.client_id)
  }

  #takeBack(id) {
    const record = this.#queue.records(this.#chat.conversation).find(({ frame }) => frame.client_id === id)
    this.#queue.remove(id)
    this.#remove(id)
    this.#composer.takeBack(record.frame.text)
  }

  #remove(id) {
    this.#elements.get(id)?.remove()
    this.#elements.delete(id)
    this.#scroller.follow()
  }
}

function idOf(button) {
  return button.closest("[data-pending-message]").dataset.clientId
}
