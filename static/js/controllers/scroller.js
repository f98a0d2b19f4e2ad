// Follows the end of the thread while the reader is there, and leaves them alone when they are not.

import { find } from "../helpers/dom.js"

const NEAR_PX = 64
const ABOVE_PX = 16 // what is looked for does not stick to the edge
const BY_HAND_MS = 600 // a wheel's momentum goes on after the last turn

export class Scroller {
  #element
  #jump = find("[data-action=jump]")
  #following = true
  #lastTop = 0
  #lastHeight = 0
  #touchedAt = -Infinity
  #isHeld = false
  #sought = null // tells the element that is kept in view until the reader moves

  constructor(element) {
    this.#element = element
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true })
    for (const name of ["wheel", "touchmove", "keydown"]) element.addEventListener(name, () => this.#touched(), { passive: true })
    element.addEventListener("pointerdown", () => { this.#isHeld = true; this.#sought = null })
    addEventListener("pointerup", () => { this.#isHeld = false })
    this.#jump.addEventListener("click", () => this.toEnd())
    const observer = new ResizeObserver(() => this.follow())
    for (const child of element.children) observer.observe(child)
    observer.observe(element)
  }

  // Messages above it are drawn after it, and grow: it is shown again until the reader's hand moves the thread.
  show(sought) {
    this.#sought = sought
    this.follow()
  }

  toEnd() {
    this.#sought = null
    this.#following = true
    this.#element.scrollTop = this.#element.scrollHeight
    this.#update()
  }

  follow() {
    if (this.#sought) this.#keepInView()
    else if (this.#following) this.#element.scrollTop = this.#element.scrollHeight
    this.#update()
  }

  #keepInView() {
    const { top, height } = this.#sought().getBoundingClientRect()
    const frame = this.#element.getBoundingClientRect()
    const above = Math.max(ABOVE_PX, (frame.height - height) / 3)
    this.#following = false
    this.#element.scrollTop += top - frame.top - above
  }

  // A scroll upwards lets go: by the reader's hand, or (find in page, a focused link) while the content stood still.
  // Growing or replaced content moves the place too, and that is nobody's wish.
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element
    const fromEnd = scrollHeight - clientHeight - scrollTop
    const isMeant = this.#isByHand || scrollHeight === this.#lastHeight
    if (this.#sought) this.#following = false
    else if (scrollTop < this.#lastTop && isMeant && fromEnd > 2) this.#following = false
    else if (fromEnd < NEAR_PX) this.#following = true
    this.#lastTop = scrollTop
    this.#lastHeight = scrollHeight
    this.#update()
  }

  #touched() {
    this.#sought = null
    this.#touchedAt = performance.now()
  }

  get #isByHand() {
    return this.#isHeld || performance.now() - this.#touchedAt < BY_HAND_MS
  }

  #update() {
    const { scrollTop, scrollHeight, clientHeight } = this.#element
    this.#jump.hidden = this.#following || scrollHeight - clientHeight - scrollTop < NEAR_PX * 2
  }
}
