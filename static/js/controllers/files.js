// The files beside the text: takes them in, keeps them with their draft, asks how far they are, and shows whether they fit.

import { find } from "../helpers/dom.js"
import { iconOf } from "../helpers/file_words.js"
import { csrfToken, getJson, post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { FileSet } from "../models/file_set.js"
import { LazyTransfer } from "../models/lazy_transfer.js"
import { StatePoll } from "../models/state_poll.js"
import { Chips } from "./chips.js"
import { startTaking } from "./taking.js"
import { toast } from "./toast.js"

export class Files {
  #chat
  #drafts
  #form = find("[data-composer]")
  #limits
  #sets = new Set() // every set of this page: the draft's, and those of questions that are not accepted yet
  #poll = new StatePoll({ ids: () => [...this.#sets].flatMap((set) => set.movingIds), ask: (ids) => this.#ask(ids) })
  #chips
  #moving = new Set() // ids that were on their way when it was last looked
  #canSee = false
  #listeners = []

  constructor({ chat, drafts, onText }) {
    this.#chat = chat
    this.#drafts = drafts
    const { maxMb, maxFiles } = this.#form.dataset
    this.#limits = { maxBytes: Number(maxMb) * 1024 * 1024, maxFiles: Number(maxFiles), words: (code) => this.#words(code) }
    this.set = this.make(chat.canWrite ? drafts.readFiles(chat.conversation) : [])
    if (!chat.canWrite) return
    const note = (item) => (iconOf(item) === "file-image" && !this.#canSee ? t("only the text in it is read") : "")
    this.#chips = new Chips({ list: find("[data-chips]", this.#form), set: this.set, onText, note })
    startTaking({ form: this.#form, text: find("[data-text]"), onFiles: (files, options) => this.set.add(files, options) })
    addEventListener("online", () => this.#sets.forEach((set) => set.retryNow()))
    addEventListener("beforeunload", (event) => { if ([...this.#sets].some((set) => set.isSending)) event.preventDefault() })
    this.#follow(this.set)
    void this.#ask(this.set.ids, { isFirst: true })
    void this.#reuse(new URLSearchParams(location.search).getAll("file"))
  }

  on(listener) {
    this.#listeners.push(listener)
  }

  // Whether the chosen model understands pictures. Where it does not, their chips say so.
  set canSee(canSee) {
    this.#canSee = canSee
    this.#chips?.update()
    this.#changed()
  }

  // A set whose files are uploaded and asked about, until `drop`.
  make(records = []) {
    const transfer = (fields) => new LazyTransfer({ ...fields, csrfToken })
    const set = new FileSet({ transfer, server: SERVER, limits: this.#limits }, records)
    this.#sets.add(set)
    set.on(() => this.#moved())
    return set
  }

  drop(set) {
    this.#sets.delete(set)
  }

  // The draft has been sent: its files go with the question, and the next draft begins empty.
  take() {
    const sent = this.set
    this.set = this.make()
    this.#follow(this.set)
    this.#chips.show(this.set)
    this.#changed()
    return sent
  }

  // A question taken back brings its files along.
  giveBack(set) {
    this.set.adopt(set)
    this.drop(set)
  }

  // Asks the server now; for sets that came from storage.
  ask(set) {
    void this.#ask(set.ids, { isFirst: true })
  }

  save() {
    this.#drafts.writeFiles(this.#chat.conversation, this.set.records())
  }

  // From the page of one's own files: /?file=<id> begins a chat with it.
  async #reuse(ids) {
    if (!ids.length) return
    history.replaceState(null, "", location.pathname)
    try {
      this.set.reuse(await getJson(`/files/states?ids=${ids.join(",")}`))
    } catch (error) {
      toast(error.message)
    }
  }

  #follow(set) {
    set.on(() => set === this.set && this.#changed())
  }

  #changed() {
    this.save()
    for (const listener of this.#listeners) listener(this.set)
  }

  // An upload that has just ended is asked about at once: a small file is read in the time of one request.
  #moved() {
    const ids = [...this.#sets].flatMap((set) => set.movingIds)
    const isNew = ids.some((id) => !this.#moving.has(id))
    this.#moving = new Set(ids)
    if (isNew) this.#poll.now()
    else this.#poll.wake()
  }

  async #ask(ids, { isFirst = false } = {}) {
    if (!ids.length) return false
    let states
    try {
      states = await getJson(`/files/states?ids=${ids.join(",")}`)
    } catch {
      if (isFirst) this.#poll.wake()
      return false
    }
    const found = new Set(states.map(({ id }) => id))
    const gone = ids.filter((id) => !found.has(id))
    let isChanged = false
    for (const set of this.#sets) {
      isChanged = set.applyStates(states) || isChanged
      if (gone.length) set.forget(gone)
    }
    return isChanged
  }

  #words(code) {
    if (code === "empty") return t("The file is empty.")
    if (code === "too_large") return t("Larger than {size} MB, the most that is taken.", { size: this.#form.dataset.maxMb })
    return t("At most {count} files go with one question.", { count: this.#limits.maxFiles })
  }
}

const SERVER = {
  remove: (id) => post(`/files/${id}/remove`).catch((error) => error.status === 404 || toast(error.message)),
  retry: (id) => post(`/files/${id}/retry`).then(() => true, (error) => { toast(error.message); return false }),
}
