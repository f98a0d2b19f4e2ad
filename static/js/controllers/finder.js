// The search over one's chats: a dialog that shows what is found while one types. Ctrl+K, Cmd+K on a Mac.

import { find, findAll, onAction } from "../helpers/dom.js"
import { getPartial } from "../helpers/http.js"
import { t } from "../helpers/strings.js"

const GATHER_MS = 120 // letters typed quickly are asked for together
const IS_MAC = /mac|iphone|ipad/i.test(navigator.platform)

export class Finder {
  #dialog = find("[data-finder]")
  #field = find("[data-finder-field]")
  #options = find("[data-finder-options]")
  #words = find("[data-finder-words]")
  #asking = null // AbortController of the request under way: an answer to an older question is nobody's
  #shown = null // the query whose answer is on the screen
  #timer
  #opened // told when it opens: a drawer behind it closes
  #enterWhenShown = false

  constructor({ onOpen = () => {} } = {}) {
    this.#opened = onOpen
    onAction(document.body, { "open-finder": () => this.open(), "close-finder": () => this.#dialog.close() })
    document.addEventListener("keydown", (event) => this.#shortcut(event))
    this.#dialog.addEventListener("keydown", (event) => this.#key(event))
    this.#dialog.addEventListener("pointerdown", ({ target }) => { if (target === this.#dialog) this.#dialog.close() })
    this.#dialog.addEventListener("close", () => this.#stop())
    this.#field.addEventListener("input", ({ isComposing }) => { if (!isComposing) this.#ask(GATHER_MS) })
    this.#field.addEventListener("compositionend", () => this.#ask(0))
    find("form", this.#dialog).addEventListener("submit", (event) => { event.preventDefault(); this.#enter() })
    if (IS_MAC) for (const key of findAll("[data-finder-key]")) key.textContent = "⌘K"
  }

  open() {
    if (this.#dialog.open) return this.#field.select()
    this.#opened()
    this.#dialog.showModal()
    this.#field.focus()
    this.#field.select()
    this.#shown = null
    this.#ask(0)
  }

  #shortcut(event) {
    const isMeant = IS_MAC ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey
    if (!isMeant || event.shiftKey || event.altKey || event.key.toLowerCase() !== "k" || event.isComposing) return
    event.preventDefault()
    this.open()
  }

  // Nothing that is pressed in here is meant for the page behind.
  #key(event) {
    if (event.isComposing) return
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step && event.target === this.#field) {
      event.preventDefault()
      this.#move(step)
    } else if (event.key === "Escape") {
      event.preventDefault()
      this.#dialog.close()
    } else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
    }
    event.stopPropagation()
  }

  #ask(delay) {
    clearTimeout(this.#timer)
    this.#enterWhenShown = false
    this.#asking?.abort()
    this.#timer = setTimeout(() => this.#load(this.#field.value), delay)
  }

  async #load(query) {
    if (query === this.#shown) return
    const asking = this.#asking = new AbortController()
    this.#dialog.ariaBusy = "true"
    try {
      const partial = await getPartial(`/search?q=${encodeURIComponent(query)}`, { signal: asking.signal })
      if (this.#asking === asking) this.#show(find("[data-found]", partial), query)
    } catch (error) {
      if (this.#asking === asking && !asking.signal.aborted) this.#fail(error.message)
    } finally {
      if (this.#asking === asking) this.#dialog.ariaBusy = null
    }
  }

  #show(found, query) {
    this.#shown = query
    this.#options.replaceChildren(found)
    this.#options.scrollTop = 0
    const num = this.#all().length
    this.#words.textContent = found.dataset.words || ""
    this.#field.ariaExpanded = String(num > 0)
    this.#choose(this.#all()[0])
    if (this.#enterWhenShown) this.#enter()
  }

  #fail(words) {
    this.#shown = null
    this.#options.replaceChildren()
    this.#field.ariaExpanded = "false"
    this.#field.removeAttribute("aria-activedescendant")
    this.#words.textContent = words || t("That did not work. Try again.")
  }

  #move(step) {
    const all = this.#all()
    if (!all.length) return
    const now = all.findIndex((option) => option.ariaSelected === "true")
    this.#choose(all[(now + step + all.length) % all.length])
  }

  #choose(option) {
    for (const each of this.#all()) each.ariaSelected = String(each === option)
    if (!option) return this.#field.removeAttribute("aria-activedescendant")
    this.#field.setAttribute("aria-activedescendant", option.id)
    option.scrollIntoView({ block: "nearest" })
  }

  // Enter pressed before the answer is there opens what it brings.
  #enter() {
    if (this.#field.value !== this.#shown) {
      this.#ask(0)
      this.#enterWhenShown = true
      return
    }
    this.#enterWhenShown = false
    this.#all().find((option) => option.ariaSelected === "true")?.click()
  }

  #stop() {
    clearTimeout(this.#timer)
    this.#asking?.abort()
    this.#asking = null
    this.#enterWhenShown = false
    this.#dialog.ariaBusy = null
  }

  #all() {
    return findAll("[role=option]", this.#options)
  }
}
