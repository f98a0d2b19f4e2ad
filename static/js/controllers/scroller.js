// Follows the end of the thread while the reader is there, and leaves them alone when they are not.

import { find } from "../helpers/dom.js"

const NEAR_PX = 64

export class Scroller {
  #element
  #jump = find("[data-action=jump]")
  #following = true
  #lastTop = 0

  constructor(element) {
    this.#element = element
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true })
    this.#jump.addEventListener("click", () => this.toEnd())
    const observer = new ResizeObserver(() => this.follow())
    for (const child of element.children) observer.observe(child)
    observer.observe(element)
  }

  toEnd() {
    this.#following = true
    this.#element.scrollTop = this.#element.scrollHeight
    this.#update()
  }

  follow() {
    if (this.#following) this.#element.scrollTop = this.#element.scrollHeight
    this.#update()
  }

  // Only a scroll upwards lets go: growing content also moves the end away, and that is not the reader's wish.
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element
    const fromEnd = scrollHeight - clientHeight - scrollTop
    if (scrollTop < this.#lastTop - 2 && fromEnd > 2) this.#following = false
    else if (fromEnd < NEAR_PX) this.#following = true
    this.#lastTop = scrollTop
    this.#update()
  }

  #update() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element
    this.#jump.hidden = this.#following || scrollHeight - clientHeight - scrollTop < NEAR_PX * 2
  }
}
