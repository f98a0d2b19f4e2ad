// The numbers that marks show: the first source that an answer uses is 1, whatever its number in the prompt was.

export class MarkNumbers {
  #shown = new Map() // number in the prompt -> number on the page

  // The number on the page, given out at the first use.
  use(number) {
    if (!this.#shown.has(number)) this.#shown.set(number, this.#shown.size + 1)
    return this.#shown.get(number)
  }

  // Null for a source that was read and not cited.
  shown(number) {
    return this.#shown.get(number) ?? null
  }

  copy() {
    const copy = new MarkNumbers()
    copy.#shown = new Map(this.#shown)
    return copy
  }
}

// Text that still grows may end in half a mark: that waits, so that nothing flickers.
export function withoutHalfMark(text) {
  return text.replace(/\[\d{0,3}$/, "")
}
