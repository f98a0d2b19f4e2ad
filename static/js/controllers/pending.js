// Questions that are not accepted yet, shown below the thread: waiting for their files, on their way, or failed with
// what can be done.

import { find, fromTemplate, onAction } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { Chips } from "./chips.js"

const SHOWN = 3000 // characters of a long question; the whole text is in the record
const SLOW_MS = 1500

export class Pending {
  #chat
  #queue
  #thread
  #composer
  #files
  #scroller
  #onNewConversation
  #area = find("[data-pending]")
  #elements = new Map() // client_id -> element
  #sets = new Map() // client_id -> FileSet

  constructor({ chat, queue, thread, composer, files, scroller, onNewConversation }) {
    this.#chat = chat
    this.#queue = queue
    this.#thread = thread
    this.#composer = composer
    this.#files = files
    this.#scroller = scroller
    this.#onNewConversation = onNewConversation
    onAction(this.#area, { resend: (button) => this.#resend(idOf(button)), "take-back": (button) => this.#takeBack(idOf(button)) })
  }

  // What an earlier page could not send.
  showStored() {
    for (const record of this.#queue.records(this.#chat.conversation)) {
      this.#show(record)
      if (!record.files?.length) continue
      const set = this.#files.make(record.files)
      this.carry(record, set)
      this.#files.ask(set)
    }
  }

  // The files of a question: it is held until they are all up, and says so.
  carry(record, set) {
    const id = record.frame.client_id
    if (set.isEmpty) return this.#files.drop(set)
    this.#sets.set(id, set)
    const list = find("[data-chips]", this.#elements.get(id))
    const chips = new Chips({ list, set, canRemove: () => record.isHeld })
    set.on(() => { this.#filesChanged(id, set); chips.update() })
    this.#filesChanged(id, set)
    chips.update()
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
    find("[data-words]", item).textContent = failed ? t("Not sent: {reason}", { reason: record.error }) : record.isHeld ? t("Sends when the upload is done.") : ""
    find("[data-steps]", item).hidden = !failed
    if (!known) this.#area.append(item)
    if (!failed && !record.isHeld) setTimeout(() => this.#sayWaiting(id), SLOW_MS)
    this.#scroller.follow()
  }

  #filesChanged(id, set) {
    if (!this.#sets.has(id)) return
    const { unfit } = set
    this.#queue.keepFiles(id, set.records())
    if (unfit) this.#queue.fail(id, `${unfit.name}: ${unfit.reason || t("Cancelled")}`)
    else if (set.isUp) this.#queue.release(id, set.ids)
    this.#scroller.follow()
  }

  #resend(id) {
    const unfit = this.#sets.get(id)?.unfit
    if (unfit) this.#sets.get(id).retry(unfit.key)
    this.#queue.retry(id)
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
    const files = this.#sets.get(id)
    const record = this.#queue.records(this.#chat.conversation).find(({ frame }) => frame.client_id === id)
    this.#queue.remove(id)
    this.#sets.delete(id)
    this.#remove(id)
    this.#composer.takeBack(record.frame.text, files, record.collections)
  }

  #remove(id) {
    this.#elements.get(id)?.remove()
    this.#elements.delete(id)
    if (this.#sets.has(id)) this.#files.drop(this.#sets.get(id))
    this.#sets.delete(id)
    this.#scroller.follow()
  }
}

function idOf(button) {
  return button.closest("[data-pending-message]").dataset.clientId
}
