// A card on a mark: whose text it is and how it begins, before it is opened. For a mouse and for the keyboard; a touch
// opens the source at once. Its words are those of the list below the answer.

import { find } from "../helpers/dom.js"
import { place } from "./popover.js"

const LINGER_MS = 150 // until it opens below a resting pointer, and until it goes once that has left
const MARK = "button.mark"

export class HoverCard {
  #card = find("[data-hover-card]")
  #mark = null
  #timer

  constructor(root) {
    root.addEventListener("pointerover", ({ target, pointerType }) => pointerType === "mouse" && this.#entered(target))
    root.addEventListener("pointerout", ({ target, pointerType }) => pointerType === "mouse" && this.#left(target))
    root.addEventListener("focusin", ({ target }) => target.matches(`${MARK}:focus-visible`) && this.#show(target))
    root.addEventListener("focusout", ({ target }) => target === this.#mark && this.hide())
    root.addEventListener("click", () => this.hide())
    root.addEventListener("scroll", () => this.hide(), { capture: true, passive: true })
    this.#card.addEventListener("pointerenter", () => clearTimeout(this.#timer))
    this.#card.addEventListener("pointerleave", () => this.hide())
    document.addEventListener("keydown", (event) => this.#keyPressed(event), { capture: true })
  }

  hide() {
    clearTimeout(this.#timer)
    if (!this.#mark) return
    this.#mark.removeAttribute("aria-describedby")
    this.#mark = null
    this.#card.hidePopover()
  }

  #entered(target) {
    const mark = target.closest(MARK)
    if (!mark) return
    clearTimeout(this.#timer)
    if (mark !== this.#mark) this.#timer = setTimeout(() => this.#show(mark), LINGER_MS)
  }

  #left(target) {
    if (!target.closest(MARK)) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.hide(), LINGER_MS)
  }

  #show(mark) {
    this.hide()
    const message = mark.closest("[data-message]")
    const words = message && find(`[data-number="${mark.dataset.mark}"] [data-source-words]`, message)
    if (!words || !mark.isConnected) return
    this.#card.replaceChildren(...words.cloneNode(true).childNodes)
    this.#card.showPopover()
    place(this.#card, mark)
    mark.setAttribute("aria-describedby", this.#card.id)
    this.#mark = mark
  }

  // Escape takes the card away and nothing else.
  #keyPressed(event) {
    if (event.key !== "Escape" || !this.#mark) return
    event.preventDefault()
    event.stopPropagation()
    this.hide()
  }
}
