// The card with an answer's numbers, and replay.

import { find, onAction } from "../helpers/dom.js"
import { getPartial } from "../helpers/http.js"
import { close, toggle } from "./popover.js"
import { toast } from "./toast.js"

export class Details {
  #thread
  #card = find("[data-popover=details]")

  constructor({ chat, thread }) {
    this.#thread = thread
    onAction(chat.root, { details: (button) => this.#open(button) })
    onAction(this.#card, { replay: (button) => this.#replay(button.dataset.answer) })
  }

  async #open(button) {
    const answer = button.closest("[data-answer]").dataset.answer
    try {
      const partial = await getPartial(`/answers/${answer}/details`)
      this.#card.replaceChildren(...partial.childNodes)
    } catch (error) {
      return toast(error.message)
    }
    toggle(this.#card, button)
  }

  async #replay(answer) {
    close()
    await this.#thread.ask({ type: "replay_answer", answer })
  }
}
