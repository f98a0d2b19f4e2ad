// The field where questions are written: sends, stops, remembers drafts, and never loses text.

import { directionOf } from "../helpers/direction.js"
import { find, onAction } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { save } from "./preferences.js"
import { SearchToggles } from "./search_toggles.js"

const DRAFT_MS = 300

export class Composer {
  #chat
  #drafts
  #queue
  #thread
  #gauge
  #files
  #collections
  #onSent
  #readAll
  #form = find("[data-composer]")
  #text = find("[data-text]")
  #send = find("[data-send]")
  #stop = find("[data-action=stop]")
  #think = find("[data-action=toggle-thinking]")
  #search = new SearchToggles(find("[data-composer]"))
  #endpoint = find("[data-endpoint]")
  #preset = find("[data-preset]")
  #draftTimer
  #composedAt = 0

  // `files`: the Files of this page; `onSent(record, set)` gets a question's files when it is in the queue.
  constructor({ chat, drafts, queue, thread, gauge, files, collections, readAll, onSent }) {
    this.#chat = chat
    this.#drafts = drafts
    this.#queue = queue
    this.#thread = thread
    this.#gauge = gauge
    this.#files = files
    this.#collections = collections
    this.#readAll = readAll
    this.#onSent = onSent
    if (!this.#text) return
    this.#text.value = drafts.read(chat.conversation)
    this.#listen()
    if (this.#endpoint) this.#endpointChosen()
    else this.#modelIs(this.#form.dataset)
  }

  focus() {
    this.#text?.focus()
  }

  // Puts text that could not be sent back under the hand.
  takeBack(text, files, collections = []) {
    if (files) this.#files.giveBack(files)
    if (collections.length) this.#collections.giveBack(collections)
    this.#text.value = [text, this.#text.value].filter(Boolean).join("\n\n")
    this.#changed()
    this.focus()
  }

  stop() {
    const answer = this.#thread.runningAnswer
    if (!answer) return
    this.#stop.disabled = true
    this.#thread.cancel(answer)
  }

  refresh() {
    if (!this.#text) return
    const running = Boolean(this.#thread.runningAnswer)
    const { value } = this.#text
    const empty = !value.trim()
    this.#text.dir = directionOf(value)
    this.#stop.hidden = !(running && empty)
    if (!running) this.#stop.disabled = false
    this.#send.hidden = running && empty
    this.#send.disabled = empty || Boolean(this.#files.set.unfit)
    this.#send.title = this.#send.ariaLabel = this.#sendWords(running)
  }

  get text() {
    return this.#text?.value ?? ""
  }

  // The first question has been accepted: what is typed meanwhile belongs to that conversation from now on.
  moved() {
    this.#drafts.write(null, "")
    this.#drafts.writeFiles(null, [])
    this.#drafts.writeCollections(null, [])
    this.#saveDraft()
    this.#files.save()
    this.#collections.save()
  }

  // What the toggles say, for any request of this page.
  get options() {
    const thinking = this.#think && !this.#think.hidden && this.#think.ariaPressed === "true"
    return { thinking: Boolean(thinking), ...this.#search.options, endpoint: this.#endpoint?.value ?? null, ...(this.#preset?.value && { preset: this.#preset.value }) }
  }

  #listen() {
    this.#form.addEventListener("submit", (event) => { event.preventDefault(); this.#submit() })
    this.#text.addEventListener("input", () => this.#changed())
    this.#text.addEventListener("keydown", (event) => this.#keyPressed(event))
    this.#text.addEventListener("compositionend", (event) => { this.#composedAt = event.timeStamp })
    this.#endpoint?.addEventListener("change", () => this.#endpointChosen())
    this.#preset?.addEventListener("change", () => this.#presetChosen())
    onAction(this.#form, { stop: () => this.stop(), "toggle-thinking": () => this.#toggleThinking() })
    this.#files.on(() => this.refresh())
    addEventListener("pagehide", () => this.#saveDraft())
    this.#thread.options = () => this.options
  }

  // Safari ends a composition just before the Enter that confirmed it: such an Enter must not send either.
  #keyPressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return
    if (event.timeStamp - this.#composedAt < 50 && this.#composedAt) return
    event.preventDefault()
    this.#submit()
  }

  #submit() {
    const text = this.#text.value
    if (!text.trim() || this.#files.set.unfit) return
    const waiting = this.#queue.records(this.#chat.conversation).at(-1)
    const readAll = this.#readAll()
    const files = this.#files.take()
    const collections = this.#collections.take()
    const fields = { conversation: this.#chat.conversation, parent: waiting ? null : this.#thread.leaf, text, ...this.options, ...this.#beginning, ...filesOf(files, collections, readAll) }
    const record = this.#queue.push(fields, waiting?.frame.client_id ?? null, { files: files.records(), collections, isHeld: !files.isUp })
    this.#onSent(record, files)
    this.#text.value = ""
    this.#saveDraft()
    this.refresh()
  }

  #sendWords(running) {
    if (this.#files.set.unfit) return t("Remove the file that cannot be sent, then send")
    return running ? t("Send when the answer is done") : t("Send")
  }

  #changed() {
    this.refresh()
    clearTimeout(this.#draftTimer)
    this.#draftTimer = setTimeout(() => this.#saveDraft(), DRAFT_MS)
  }

  #saveDraft() {
    clearTimeout(this.#draftTimer)
    this.#drafts.write(this.#chat.conversation, this.#text.value)
  }

  #toggleThinking() {
    const on = this.#think.ariaPressed !== "true"
    this.#think.ariaPressed = String(on)
    void save({ thinking: on })
  }

  // Of a chat that is not begun yet: in which folder it will be, or that it is to leave nothing behind.
  get #beginning() {
    const { folder, temporary } = this.#form.dataset
    if (this.#chat.conversation) return {}
    return { ...(folder && { folder }), ...(temporary === "true" && { temporary: true }) }
  }

  // Its toggles and its model; they can be changed again before sending.
  #presetChosen() {
    const { model, thinking, search, deep } = this.#preset.selectedOptions[0].dataset
    if (thinking === undefined) return // none
    if (model && this.#endpoint && find(`option[value="${model}"]`, this.#endpoint)) {
      this.#endpoint.value = model
      this.#endpointChosen()
    }
    this.#think.ariaPressed = thinking
    this.#search.set({ search: search === "true", deep: deep === "true" })
  }

  #endpointChosen() {
    const { thinking, contextLength, note } = this.#endpoint.selectedOptions[0].dataset
    this.#think.hidden = thinking !== "switched"
    find("[data-endpoint-note]").textContent = note
    this.#gauge.length(Number(contextLength))
    this.#modelIs(this.#endpoint.selectedOptions[0].dataset)
  }

  #modelIs({ vision, tools }) {
    this.#files.canSee = vision === "true"
    this.#search.canCall = tools === "true"
  }
}

function filesOf(files, collections, readAll) {
  const asked = collections.length ? { collections: collections.map(({ id }) => id) } : {}
  if (files.isEmpty) return { uploads: [], ...asked, ...(collections.length && { read_all: readAll }) }
  return { uploads: files.isUp ? files.ids : [], ...asked, read_all: readAll }
}
