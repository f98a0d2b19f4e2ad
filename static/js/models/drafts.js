// What somebody has typed and not sent, kept per person and conversation until the question is accepted. Knows no DOM.

const PREFIX = "sonde"

export class Drafts {
  #storage
  #person

  constructor(storage, person) {
    this.#storage = storage
    this.#person = person
  }

  read(conversation) {
    return this.#storage.getItem(this.#key(conversation)) ?? ""
  }

  // A full storage must not stop the typing: the text is still in the field.
  write(conversation, text) {
    try {
      if (text) this.#storage.setItem(this.#key(conversation), text)
      else this.#storage.removeItem(this.#key(conversation))
      return true
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error
      return false
    }
  }

  #key(conversation) {
    return `${PREFIX}:draft:${this.#person}:${conversation ?? "new"}`
  }
}

// Signing out leaves nothing of one person's text behind for the next at the same browser.
export function forget(storage, person) {
  const mine = new RegExp(`^${PREFIX}:(draft|unsent):${person}(:|$)`)
  for (const key of Object.keys(storage)) if (mine.test(key)) storage.removeItem(key)
}
