// The chips of one FileSet: a row of files, each with its state and what can be done about it.

import { element, find, fromTemplate, onAction } from "../helpers/dom.js"
import { iconOf, missingWords, progressOf, stateWords } from "../helpers/file_words.js"
import { t } from "../helpers/strings.js"
import { toast } from "./toast.js"

const ENDED = new Set(["ready", "partly", "failed", "cancelled", "refused"])
const RETRIED = new Set(["failed", "cancelled", "interrupted", "refused"])

export class Chips {
  #list
  #set
  #onText
  #canRemove
  #note
  #announcer = find("[data-files-announcer]")
  #elements = new Map() // key -> element
  #states = new Map() // key -> state that was last shown

  // `onText(item, file)` puts a pasted text back into the field; without it there is no such button.
  // `canRemove()`: a question on its way has named its files already. `note(item)`: more to say of one that is ready.
  constructor({ list, set, onText = null, canRemove = () => true, note = () => "" }) {
    this.#list = list
    this.#onText = onText
    this.#canRemove = canRemove
    this.#note = note
    onAction(list, {
      "chip-remove": (button) => this.#remove(keyOf(button)),
      "chip-retry": (button) => this.#set.retry(keyOf(button)),
      "chip-text": (button) => this.#toText(keyOf(button)),
      "chip-choose": (button) => this.#choose(keyOf(button)),
      "chip-more": (button) => this.#more(button),
    })
    this.show(set)
  }

  // Another set in the same place: the one before was sent.
  show(set) {
    this.#set = set
    set.on(() => set === this.#set && this.update())
    this.update()
  }

  update() {
    const { items } = this.#set
    const keys = new Set(items.map(({ key }) => key))
    for (const [key, chip] of this.#elements) if (!keys.has(key)) this.#drop(key, chip)
    for (const item of items) this.#showItem(item)
    this.#list.hidden = items.length === 0
  }

  #showItem(item) {
    const chip = this.#elements.get(item.key) ?? this.#make(item)
    const words = stateWords(item, this.#note(item))
    const more = missingWords(item)
    const bar = find("[data-chip-bar]", chip)
    const percent = progressOf(item)
    chip.dataset.state = item.state
    setText(find("[data-chip-words]", chip), words)
    find("[data-chip-words]", chip).title = words
    bar.hidden = percent === null
    if (percent !== null) bar.value = percent
    setText(find("[data-chip-missing]", chip), more)
    this.#show(chip, "chip-more", more !== "")
    this.#show(chip, "chip-retry", RETRIED.has(item.state) && Boolean(item.id || item.file))
    this.#show(chip, "chip-choose", item.state === "missing")
    this.#show(chip, "chip-text", Boolean(this.#onText && item.isText && item.file))
    this.#show(chip, "chip-remove", this.#canRemove())
    this.#announce(item, words)
  }

  #make(item) {
    const chip = fromTemplate("chip")
    chip.dataset.key = item.key
    const use = find("[data-chip-icon]", chip)
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${iconOf(item)}`))
    setText(find("[data-chip-name]", chip), item.name)
    find("[data-chip-name]", chip).title = item.name
    find("[data-chip-bar]", chip).ariaLabel = item.name
    for (const button of chip.querySelectorAll("[data-names-file]")) button.ariaLabel = `${button.title}: ${item.name}`
    this.#elements.set(item.key, chip)
    this.#list.append(chip)
    chip.scrollIntoView({ block: "nearest" })
    return chip
  }

  // Where a chip with the focus goes away, the next one takes it.
  #drop(key, chip) {
    const next = chip.nextElementSibling ?? chip.previousElementSibling
    const hadFocus = chip.contains(document.activeElement)
    chip.remove()
    this.#elements.delete(key)
    this.#states.delete(key)
    if (hadFocus) (next ? find("[data-action=chip-remove]", next) : find("[data-text]"))?.focus()
  }

  #show(chip, action, isShown) {
    find(`[data-action=${action}]`, chip).hidden = !isShown
  }

  // Only where something came to an end: percentages read aloud would be a torture.
  #announce(item, words) {
    const before = this.#states.get(item.key)
    this.#states.set(item.key, item.state)
    if (before === undefined || before === item.state || !(ENDED.has(item.state) || item.state === "missing")) return
    this.#announcer.textContent = item.state === "ready" ? t("{name} is ready.", { name: item.name }) : `${item.name}: ${words}`
  }

  #remove(key) {
    this.#set.remove(key)
  }

  #more(button) {
    const isOpen = button.ariaExpanded !== "true"
    button.ariaExpanded = String(isOpen)
    find("[data-chip-missing]", button.closest("[data-chip]")).hidden = !isOpen
  }

  async #toText(key) {
    const item = this.#set.find(key)
    const text = await item.file.text()
    this.#set.remove(key)
    this.#onText(text)
  }

  #choose(key) {
    const input = element("input", { type: "file" })
    input.addEventListener("change", () => {
      const [file] = input.files
      if (file && !this.#set.provide(key, file)) toast(t("That is another file: its name or size differs."))
    })
    input.click()
  }
}

function keyOf(button) {
  return button.closest("[data-chip]").dataset.key
}

function setText(node, words) {
  if (node.textContent !== words) node.textContent = words
}
