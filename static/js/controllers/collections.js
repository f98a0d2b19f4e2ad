// The collections that a question asks: chosen at the paper clip, shown as chips, kept with their draft.

import { find, fromTemplate, onAction } from "../helpers/dom.js"
import { getJson } from "../helpers/http.js"
import { close, toggle } from "./popover.js"
import { toast } from "./toast.js"

export class Collections {
  #chat
  #drafts
  #form = find("[data-composer]")
  #list = find("[data-collection-chips]")
  #choices = find("[data-collection-choices]")
  #chosen = [] // {id, name}
  #listeners = []

  constructor({ chat, drafts }) {
    this.#chat = chat
    this.#drafts = drafts
    if (!this.#list) return
    this.#chosen = drafts.readCollections(chat.conversation)
    onAction(this.#form, {
      attach: (button) => this.#open(button),
      "choose-files": () => close({ restoreFocus: false }),
      "choose-collection": (button) => this.#toggle(button),
      "drop-collection": (button) => this.#drop(button.closest("[data-collection-chip]").dataset.id),
    })
    this.#show()
    void this.#takeFromAddress()
  }

  on(listener) {
    this.#listeners.push(listener)
  }

  get ids() {
    return this.#chosen.map(({ id }) => id)
  }

  // The draft has been sent.
  take() {
    const taken = this.#chosen
    this.#change([])
    return taken
  }

  // A question taken back brings its collections along.
  giveBack(collections) {
    const known = new Set(this.ids)
    this.#change([...this.#chosen, ...collections.filter(({ id }) => !known.has(id))])
  }

  save() {
    this.#drafts.writeCollections(this.#chat.conversation, this.#chosen)
  }

  // The choices first: the menu is placed by its size.
  async #open(button) {
    const found = await getJson("/files/collections").catch((error) => { toast(error.message); return [] })
    const chosen = new Set(this.ids)
    this.#choices.replaceChildren(...found.map((collection) => choiceOf(collection, chosen.has(collection.id))))
    toggle(find("[data-popover=attach]"), button)
  }

  #toggle(button) {
    const { id, name } = button.dataset
    const isChosen = button.ariaChecked !== "true"
    button.ariaChecked = String(isChosen)
    this.#change(isChosen ? [...this.#chosen, { id, name }] : this.#chosen.filter((each) => each.id !== id))
  }

  #drop(id) {
    this.#change(this.#chosen.filter((each) => each.id !== id))
    find("[data-text]").focus()
  }

  #change(chosen) {
    this.#chosen = chosen
    this.save()
    this.#show()
    for (const listener of this.#listeners) listener()
  }

  #show() {
    this.#list.replaceChildren(...this.#chosen.map(chipOf))
    this.#list.hidden = this.#chosen.length === 0
  }

  // "Ask in a new chat" on the page of a collection leads here with its id.
  async #takeFromAddress() {
    const asked = new URLSearchParams(location.search).get("collection")
    if (!asked) return
    history.replaceState(null, "", location.pathname)
    const found = await getJson("/files/collections").catch(() => [])
    const collection = found.find(({ id }) => id === asked)
    if (collection) this.giveBack([{ id: collection.id, name: collection.name }])
  }
}

function choiceOf({ id, name }, isChosen) {
  const choice = fromTemplate("collection-choice")
  Object.assign(choice.dataset, { id, name })
  find("[data-name]", choice).textContent = name
  choice.ariaChecked = String(isChosen)
  return choice
}

function chipOf({ id, name }) {
  const chip = fromTemplate("collection-chip")
  chip.dataset.id = id
  find("[data-chip-name]", chip).textContent = name
  const button = find("button", chip)
  button.ariaLabel = `${button.title}: ${name}`
  return chip
}
