// Search and Deep search in the composer. Search is remembered with the person; a deep search is one too, and is chosen anew.

import { find, onAction } from "../helpers/dom.js"
import { save } from "./preferences.js"
import { toast } from "./toast.js"

export class SearchToggles {
  #search
  #deep

  constructor(form) {
    this.#search = find("[data-action=toggle-search]", form)
    this.#deep = find("[data-action=toggle-deep]", form)
    onAction(form, {
      "toggle-search": () => this.#setSearch(!isOn(this.#search)),
      "toggle-deep": () => this.#setDeep(!isOn(this.#deep)),
      "explain-search": (button) => toast(button.title),
    })
  }

  // Whether the model calls tools: without them it cannot go on searching.
  set canCall(canCall) {
    if (this.#deep) this.#deep.hidden = !canCall
  }

  get options() {
    const deep = Boolean(this.#deep) && !this.#deep.hidden && isOn(this.#deep)
    return { search: deep || (Boolean(this.#search) && isOn(this.#search)), deep }
  }

  // As a preset says; not remembered with the person.
  set({ search, deep }) {
    if (!this.#search || !this.#deep) return
    this.#search.ariaPressed = String(search)
    this.#deep.ariaPressed = String(deep)
  }

  #setSearch(on) {
    this.#search.ariaPressed = String(on)
    if (!on) this.#deep.ariaPressed = "false"
    void save({ search: on })
  }

  #setDeep(on) {
    this.#deep.ariaPressed = String(on)
    if (on && !isOn(this.#search)) this.#setSearch(true)
  }
}

function isOn(button) {
  return button.ariaPressed === "true"
}
