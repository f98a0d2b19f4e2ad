// What somebody has typed, and the files beside it, kept per person and conversation until the question is accepted.
// Knows no DOM.

const PREFIX = "sonde"

export class Drafts {
  #storage
  #person

  constructor(storage, person) {
    this.#storage = storage
    this.#person = person
  }

  read(conversation) {
    return this.#storage.getItem(this.#key("draft", conversation)) ?? ""
  }

  // A full storage must not stop the typing: the text is still in the field.
  write(conversation, text) {
    return this.#write(this.#key("draft", conversation), text)
  }

  // Records of a FileSet.
  readFiles(conversation) {
    return JSON.parse(this.#storage.getItem(this.#key("files", conversation)) ?? "[]")
  }

  // {id, name} of each collection.
  readCollections(conversation) {
    return JSON.parse(this.#storage.getItem(this.#key("collections", conversation)) ?? "[]")
  }

  writeCollections(conversation, collections) {
    return this.#write(this.#key("collections", conversation), collections.length ? JSON.stringify(collections) : "")
  }

  writeFiles(conversation, records) {
    return this.#write(this.#key("files", conversation), records.length ? JSON.stringify(records) : "")
  }

  #write(key, value) {
    try {
      if (value) this.#storage.setItem(key, value)
      else this.#storage.removeItem(key)
      return true
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error
      return false
    }
  }

  #key(kind, conversation) {
    return `${PREFIX}:${kind}:${this.#person}:${conversation ?? "new"}`
  }
}

// Signing out leaves nothing of one person's text behind for the next at the same browser.
export function forget(storage, person) {
  const mine = new RegExp(`^${PREFIX}:(draft|files|collections|unsent):${person}(:|$)`)
  for (const key of Object.keys(storage)) if (mine.test(key)) storage.removeItem(key)
}
