// Choosing several chats of the list: boxes beside them, and what is done with those chosen.

import { find, findAll, onAction } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"

const MOST = 200 // the site takes no more at once

export class Selection {
  #list
  #bar = find("[data-choosing]")
  #words = find("[data-choosing-words]")
  #onStop

  constructor({ root, list, onStop }) {
    this.#list = list
    this.#onStop = onStop
    onAction(root, {
      "choose-all": () => this.#chooseAll(),
      "stop-choosing": () => this.stop(),
    })
    list.addEventListener("change", () => this.#tell())
    list.addEventListener("click", (event) => this.#clicked(event), { capture: true })
    for (const part of [list, this.#bar]) part.addEventListener("keydown", (event) => this.#key(event))
  }

  get isActive() {
    return !this.#bar.hidden
  }

  start(id) {
    this.#bar.hidden = false
    this.#list.toggleAttribute("data-chooses", true)
    for (const box of this.#boxes()) box.hidden = false
    const box = find(`[data-entry="${id}"] [data-choose]`, this.#list)
    box.checked = true
    box.focus()
    this.#tell()
  }

  stop() {
    if (!this.isActive) return
    this.#bar.hidden = true
    this.#list.removeAttribute("data-chooses")
    for (const box of this.#boxes()) {
      box.checked = false
      box.hidden = true
    }
    this.#onStop()
  }

  // The chosen ones, with which choosing ends.
  take() {
    const ids = this.#chosen().map((box) => box.closest("[data-entry]").dataset.entry)
    this.stop()
    return ids
  }

  // While one chooses, the whole line is the box; older chats that came meanwhile get theirs.
  #clicked(event) {
    const entry = event.target.closest("[data-entry]")
    if (!this.isActive || !entry || event.target.matches("[data-choose]")) return
    event.preventDefault()
    event.stopPropagation()
    const box = find("[data-choose]", entry)
    box.checked = !box.checked
    this.#tell()
  }

  #key(event) {
    if (event.key !== "Escape" || !this.isActive) return
    event.preventDefault()
    event.stopPropagation()
    this.stop()
  }

  #chooseAll() {
    const isAll = this.#chosen().length === this.#boxes().length
    for (const box of this.#boxes()) box.checked = !isAll
    this.#tell()
  }

  #tell() {
    const chosen = this.#chosen()
    this.#words.textContent = chosen.length === 1 ? t("One chat chosen") : t("{n} chats chosen", { n: chosen.length })
    const isTooMany = chosen.length > MOST
    const isOwn = chosen.every((box) => box.closest("[data-own]"))
    find("[data-action=archive-chosen]", this.#bar).disabled = !chosen.length || isTooMany
    find("[data-action=delete-chosen]", this.#bar).disabled = !chosen.length || isTooMany || !isOwn
    for (const box of this.#boxes()) box.hidden = false
  }

  #boxes() {
    return findAll("[data-choose]", this.#list)
  }

  #chosen() {
    return this.#boxes().filter((box) => box.checked)
  }
}
