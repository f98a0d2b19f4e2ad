// Asks again and again while something moves: quickly while things change, more seldom while they do not. Knows no DOM.

const FIRST_MS = 700
const LONGEST_MS = 5_000
const GROWTH = 1.4

export class StatePoll {
  #ids
  #ask
  #wait = FIRST_MS
  #timer = null
  #isAsking = false
  #isWanted = false

  // `ids()` gives what to ask about, none when nothing moves; `ask(ids)` resolves to whether anything changed.
  constructor({ ids, ask }) {
    this.#ids = ids
    this.#ask = ask
  }

  // Something has just begun or ended: ask at once.
  now() {
    this.#wait = FIRST_MS
    if (this.#isAsking) this.#isWanted = true
    else void this.#turn()
  }

  // Goes on if anything moves and nothing is planned yet.
  wake() {
    if (this.#timer === null && !this.#isAsking && this.#ids().length) this.#plan()
  }

  async #turn() {
    clearTimeout(this.#timer)
    this.#timer = null
    const ids = this.#ids()
    if (!ids.length) return
    this.#isAsking = true
    this.#isWanted = false
    const isChanged = await this.#ask(ids).catch(() => false)
    this.#isAsking = false
    this.#wait = isChanged ? FIRST_MS : Math.min(LONGEST_MS, this.#wait * GROWTH)
    if (this.#isWanted) void this.#turn()
    else if (this.#ids().length) this.#plan()
  }

  #plan() {
    this.#timer = setTimeout(() => void this.#turn(), this.#wait)
  }
}
