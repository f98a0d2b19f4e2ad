// Folders in the sidebar: a chat of one's own is dragged onto one, or put into it from its menu.

import { element, find, findAll, onAction } from "../helpers/dom.js"
import { post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { close, toggle } from "./popover.js"
import { toast } from "./toast.js"

const KIND = "application/x-sonde-chat"

export class Folders {
  #list
  #onMoved
  #menu = find("[data-popover=folders]")
  #chat = null // whose menu is open

  constructor({ list, onMoved }) {
    this.#list = list
    this.#onMoved = onMoved
    onAction(this.#menu, { "choose-folder": (button) => this.#chosen(button.dataset.id, button.dataset.name) })
    list.addEventListener("dragstart", (event) => this.#dragged(event))
    list.addEventListener("dragover", (event) => this.#over(event))
    list.addEventListener("dragleave", (event) => this.#mark(event.target.closest("[data-folder]"), false))
    list.addEventListener("drop", (event) => this.#dropped(event))
  }

  choose(chat, button) {
    this.#chat = chat
    const choices = findAll("[data-folder]", this.#list).map((folder) => choiceOf(folder))
    const none = element("p", { class: "menu__label" }, this.#menu.dataset.none)
    find("[data-folder-choices]", this.#menu).replaceChildren(...(choices.length ? choices : [none]))
    toggle(this.#menu, button)
  }

  #chosen(folder, name) {
    close()
    void this.#put(this.#chat, folder, name)
  }

  #dragged(event) {
    const entry = event.target.closest("[data-entry][data-own]")
    if (!entry) return
    event.dataTransfer.setData(KIND, entry.dataset.entry)
    event.dataTransfer.effectAllowed = "move"
  }

  #over(event) {
    const folder = event.target.closest("[data-folder]")
    if (!folder || !event.dataTransfer.types.includes(KIND)) return
    event.preventDefault()
    event.dataTransfer.dropEffect = "move"
    this.#mark(folder, true)
  }

  #dropped(event) {
    const folder = event.target.closest("[data-folder]")
    const chat = event.dataTransfer.getData(KIND)
    if (!folder || !chat) return
    event.preventDefault()
    this.#mark(folder, false)
    void this.#put(chat, folder.dataset.folder, nameOf(folder))
  }

  async #put(chat, folder, name) {
    try {
      await post(`/folders/${folder}/put`, { ids: chat })
    } catch (error) {
      return toast(error.message)
    }
    this.#onMoved()
    toast(t("The chat is in “{name}”.", { name }), { action: t("Undo"), onAction: () => this.#takeOut(chat) })
  }

  async #takeOut(chat) {
    await post("/folders/take-out", { ids: chat }).catch((error) => toast(error.message))
    this.#onMoved()
  }

  #mark(folder, isOver) {
    folder?.toggleAttribute("data-over", isOver)
  }
}

function choiceOf(folder) {
  const name = nameOf(folder)
  return element("button", { class: "menu__item", type: "button", role: "menuitem", "data-action": "choose-folder", "data-id": folder.dataset.folder, "data-name": name, dir: "auto" }, name)
}

function nameOf(folder) {
  return find("a", folder).textContent.trim()
}
