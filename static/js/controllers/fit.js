// The honesty meter: says before sending how much of the files the model will read, and offers to read all of it.

import { find } from "../helpers/dom.js"
import { post } from "../helpers/http.js"

const PAUSE_MS = 400
const AGAIN_MS = 1_000
const TEXT_STEP = 400 // characters; a few more words of the question change nothing that can be shown
const READABLE = new Set(["ready", "partly"])

export class Fit {
  #chat
  #files
  #collections
  #composer
  #box = find("[data-fit]")
  #words = find("[data-fit-words]")
  #all = find("[data-fit-all]")
  #switch = find("[data-read-all]")
  #asked = ""
  #timer

  constructor({ chat, files, collections, composer }) {
    this.#chat = chat
    this.#files = files
    this.#collections = collections
    this.#composer = composer
    if (!this.#box) return
    files.on(() => this.#changed())
    collections.on(() => this.#changed())
    find("[data-composer]").addEventListener("input", () => this.#changed())
    this.#changed()
  }

  // Whether the person wants every part to be read, however long it takes.
  get readAll() {
    return Boolean(this.#switch?.checked && !this.#all.hidden)
  }

  #changed() {
    clearTimeout(this.#timer)
    const { items } = this.#files.set
    const readable = items.filter(({ state }) => READABLE.has(state))
    const isMoving = !this.#files.set.isUp || this.#files.set.movingIds.length > 0
    const collections = this.#collections.ids
    if (!(readable.length || collections.length) || isMoving) return this.#hide()
    const { endpoint } = this.#composer.options
    const step = Math.floor(this.#composer.text.length / TEXT_STEP)
    const key = [...readable.map(({ id }) => id), ...collections, endpoint, this.#chat.conversation, step].join()
    if (key !== this.#asked) this.#timer = setTimeout(() => this.#ask(key, readable.map(({ id }) => id), collections, endpoint), PAUSE_MS)
  }

  get #folder() {
    return find("[data-composer]").dataset.folder
  }

  async #ask(key, ids, collections, endpoint) {
    const { preset } = this.#composer.options
    this.#asked = key
    const fields = { ids: ids.join(","), collections: collections.join(","), endpoint: endpoint ?? "", conversation: this.#chat.conversation ?? "", ...(!this.#chat.conversation && this.#folder && { folder: this.#folder }), ...(preset && { preset }), text: this.#composer.text }
    const answer = await post("/files/fit", fields).catch(() => null)
    if (this.#asked !== key) return
    if (!answer?.words) return this.#hide() // no promise is better than a wrong one
    this.#show(answer)
    // Read, and not filed under its words yet: that is a matter of moments.
    if (answer.mode !== "waiting") return
    this.#asked = ""
    this.#timer = setTimeout(() => this.#ask(key, ids, collections, endpoint), AGAIN_MS)
  }

  #show({ fits, words }) {
    this.#box.hidden = false
    this.#box.classList.toggle("fit--short", !fits)
    this.#words.textContent = words
    this.#all.hidden = fits
  }

  #hide() {
    this.#asked = ""
    this.#box.hidden = true
    this.#all.hidden = true
    if (this.#files.set.isEmpty && !this.#collections.ids.length) this.#switch.checked = false
  }
}
