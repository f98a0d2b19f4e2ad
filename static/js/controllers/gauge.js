// How much of what the model can read this conversation already fills.

import { find } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"

const HIGH = 80 // per cent

export class Gauge {
  #used
  #length = Number(find("[data-composer]").dataset.contextLength)
  #gauge = find("[data-gauge]")
  #fill = find("[data-gauge-fill]")
  #words = find("[data-context-words]")

  constructor(root) {
    this.#used = Number(root.dataset.contextUsed)
    this.#show()
  }

  used(tokens) {
    this.#used = tokens
    this.#show()
  }

  length(tokens) {
    this.#length = tokens
    this.#show()
  }

  #show() {
    if (!this.#gauge) return
    const percent = this.#length ? Math.min(100, Math.round((100 * this.#used) / this.#length)) : 0
    const high = percent >= HIGH
    const label = t("This chat fills {percent}% of what the model can read.", { percent })
    this.#gauge.hidden = percent === 0
    this.#gauge.title = this.#gauge.ariaLabel = label
    this.#gauge.classList.toggle("gauge--high", high)
    this.#fill.style.strokeDashoffset = 100 - percent
    this.#words.hidden = !high
    this.#words.classList.toggle("composer__notice--warning", high)
    if (high) this.#words.textContent = `${label} ${t("When it is full, the oldest turns are left out of what the model sees, and the answer says so. A new chat starts fresh.")}`
  }
}
