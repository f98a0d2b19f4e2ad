// The messages of the shown branch: keeps the page's elements in step with the stream, and acts on them.

import { copyText } from "../helpers/clipboard.js"
import { find, findAll, onAction } from "../helpers/dom.js"
import { getPartial, post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { edit } from "./editor.js"
import { MessageView } from "./message.js"
import { Searches, rememberTouch } from "./searches.js"
import { toast } from "./toast.js"

const RESYNC_MS = 2_000 // a gap on a branch that the snapshot does not hold must not become a storm
const SLICE_MS = 12
const MARKED_MS = 4_000 // the message that was looked for stays marked so long

export class Thread {
  #chat
  #stream
  #socket
  #queue
  #scroller
  #gauge
  #element = find("[data-thread]")
  #announcer = find("[data-announcer]")
  #views = new Map() // message id -> MessageView
  #searches
  #listeners = { change: [], title: [] }
  #resyncAt = 0
  #loading = Promise.resolve()
  #chosenLeaf = new URLSearchParams(location.search).get("leaf") // the branch that the page was opened at
  #expectedLeaf = null // accepted, and not yet on the page: what is asked now hangs below it
  options = () => ({ thinking: false, search: false, deep: false, endpoint: null })

  constructor({ chat, stream, socket, queue, scroller, gauge }) {
    this.#chat = chat
    this.#stream = stream
    this.#socket = socket
    this.#queue = queue
    this.#scroller = scroller
    this.#gauge = gauge
    this.#searches = new Searches({ element: this.#element, scroller })
    this.title = chat.root.dataset.title
    this.#element.addEventListener("click", rememberTouch)
    onAction(this.#element, {
      copy: (button) => this.#copy(this.#viewOf(button), button),
      "copy-code": (button) => copyWords(find("code", button.closest("figure")).textContent, button),
      regenerate: (button) => this.ask({ type: "regenerate", message: this.#viewOf(button).id, ...this.options() }),
      continue: (button) => this.ask({ type: "continue_answer", message: this.#viewOf(button).id }),
      cancel: (button) => this.cancel(this.#viewOf(button).message.answer),
      edit: (button) => this.#edit(this.#viewOf(button)),
      previous: (button) => this.#turn(this.#viewOf(button), -1),
      next: (button) => this.#turn(this.#viewOf(button), 1),
    })
  }

  on(name, listener) {
    this.#listeners[name].push(listener)
  }

  start() {
    this.#adopt(this.#element)
    if (this.#chat.conversation) this.#socket.subscribe(this.#chat.conversation, () => this.#stream.position)
    if (this.#chosenLeaf) void this.#showChosen()
    else this.#scroller.toEnd()
  }

  get leaf() {
    return this.#expectedLeaf ?? this.#articles().at(-1)?.dataset.message ?? null
  }

  get runningAnswer() {
    const open = [...this.#views.values()].find((view) => view.message.status === "running")
    const queued = [...this.#views.values()].find((view) => view.message.status === "queued")
    return (open ?? queued)?.message.answer ?? null
  }

  receive(frame) {
    if (frame.type === "event") this.#changed(this.#stream.apply(frame))
    else if (frame.type === "snapshot") this.#changed(this.#stream.applySnapshot(frame))
    else if (frame.type === "ended") this.#closed()
    else if (frame.type === "error" && !frame.client_id) toast(frame.message)
  }

  // Regenerate, continue, replay: sent until it is answered, then the new branch is shown.
  async ask(frame) {
    try {
      const { reply } = await this.#queue.request(frame)
      await this.showBranch(reply)
      this.#scroller.toEnd()
    } catch (error) {
      toast(error.message)
    }
  }

  cancel(answer) {
    if (!this.#socket.send({ type: "cancel_answer", answer })) toast(t("Not connected; try again in a moment."))
  }

  // Fetches the active branch and brings the page in step. One at a time, in order. `leaf` is where it is known to end.
  showBranch(leaf = this.#expectedLeaf) {
    this.#expectedLeaf = leaf
    this.#loading = this.#loading.then(() => this.#load(leaf)).catch((error) => toast(error.message))
    return this.#loading
  }

  showTitle(title) {
    this.title = title
    find("[data-page-title]").textContent = title
    document.title = `${title} · Sonde`
    this.#tell("title")
  }

  // The message that somebody was led to. Its branch is remembered as the active one by whoever may: what comes, comes there.
  async #showChosen() {
    const view = this.#views.get(this.#chosenLeaf)
    if (!view) return this.#scroller.toEnd()
    this.#scroller.show(() => view.element)
    view.element.classList.add("message--sought")
    setTimeout(() => view.element.classList.remove("message--sought"), MARKED_MS)
    if (!this.#chat.canWrite) return
    try {
      await post(`/c/${this.#chat.conversation}/select`, { leaf: this.leaf })
      this.#chosenLeaf = null
      history.replaceState(null, "", `/c/${this.#chat.conversation}`)
    } catch (error) {
      toast(error.message)
    }
  }

  async #load(leaf) {
    const branch = this.#chosenLeaf ? `?leaf=${encodeURIComponent(this.#chosenLeaf)}` : ""
    const partial = await getPartial(`/c/${this.#chat.conversation}/thread${branch}`)
    this.#adopt(find("[data-thread]", partial))
    if (this.#expectedLeaf === leaf) this.#expectedLeaf = null
  }

  // Keyed by message: what is shown stays in place with its rendered text, what is new comes in, what is gone leaves.
  #adopt(source) {
    const articles = findAll("[data-message]", source)
    const kept = new Set()
    let place = null
    for (const article of articles) {
      const view = this.#take(article)
      kept.add(view.id)
      const next = place ? place.nextElementSibling : this.#element.firstElementChild
      if (next !== view.element) this.#element.insertBefore(view.element, next)
      place = view.element
    }
    for (const [id, view] of this.#views) if (!kept.has(id)) { view.element.remove(); this.#views.delete(id) }
    this.#renderFromEnd()
    for (const view of this.#views.values()) if (view.isBehind) void this.#refresh(view)
    this.#showUse()
    this.#tell("change")
  }

  #take(article) {
    const id = article.dataset.message
    const known = this.#views.get(id)
    if (known?.element === article) return known
    if (known) {
      known.replace(article)
      return known
    }
    const view = new MessageView(article, this.#stream)
    this.#views.set(id, view)
    return view
  }

  // The newest messages first, in slices, so that a long conversation can be used at once.
  #renderFromEnd() {
    const waiting = this.#articles().map((article) => this.#views.get(article.dataset.message)).filter((view) => view.needsRender)
    const work = () => {
      const until = performance.now() + SLICE_MS
      while (waiting.length && performance.now() < until) waiting.pop().render()
      this.#scroller.follow()
      if (waiting.length) setTimeout(work)
    }
    work()
  }

  #changed(change) {
    if (!change) return
    const { kind, message } = change
    if (kind === "gap") return this.#resync()
    if (kind === "title") return this.showTitle(change.title)
    if (kind === "snapshot") return this.#showSnapshot(change)
    if (kind === "added") return this.#added(message)
    const view = this.#views.get(message.id)
    if (!view) return
    view.update()
    if (kind === "ended") void this.#ended(view)
    if (kind === "notice" && change.code === "searching" && this.#searches.changed(change.params.search)) return
    if (kind === "notice" || kind === "checked") void this.#refresh(view)
    if (kind === "notice" || kind === "ended") this.#refreshFiles(view)
    if (kind === "status" || kind === "ended") this.#tell("change")
  }

  #resync() {
    if (performance.now() - this.#resyncAt < RESYNC_MS) return
    this.#resyncAt = performance.now()
    this.#socket.send({ type: "subscribe", conversation: this.#chat.conversation, after: null })
  }

  #showSnapshot({ ids, title }) {
    if (title) this.showTitle(title)
    for (const id of ids) this.#views.get(id)?.update()
    const shown = this.#articles().map((article) => article.dataset.message)
    if (shown.join() !== ids.join()) void this.showBranch()
    for (const view of this.#views.values()) if (view.isBehind) void this.#refresh(view)
    this.#tell("change")
  }

  // On the shown branch when it hangs on the last message; else its sibling's pager changes.
  #added(message) {
    const shown = this.#articles()
    if (message.parent === (shown.at(-1)?.dataset.message ?? null)) return void this.showBranch()
    const sibling = shown.find((article) => (article.dataset.parent || null) === message.parent)
    const view = sibling && this.#views.get(sibling.dataset.message)
    if (view) void this.#refresh(view)
  }

  async #ended(view) {
    await this.#refresh(view)
    this.#announcer.textContent = view.spoken
    for (const other of this.#views.values()) if (other.message.status === "queued") other.update()
  }

  // The message as the server shows it now: its ending, its notices, its actions.
  async #refresh(view) {
    const path = `/c/${this.#chat.conversation}/messages/${view.id}`
    const partial = await getPartial(path).catch(() => null)
    const article = partial && find("[data-message]", partial)
    if (!article || !this.#views.has(view.id)) return
    view.replace(article)
    view.update()
    this.#scroller.follow()
    this.#showUse()
    this.#tell("change")
  }

  // The chips of the question above: its files were being read when it was sent.
  #refreshFiles(view) {
    const question = this.#views.get(view.element.dataset.parent)
    if (question && find("[data-upload]:is([data-state=queued], [data-state=parsing])", question.element)) void this.#refresh(question)
  }

  // The newest answer that reported its tokens says how full the chat is.
  #showUse() {
    const reported = this.#articles().map((article) => Number(article.dataset.tokens)).filter(Boolean)
    if (reported.length) this.#gauge.used(reported.at(-1))
  }

  async #turn(view, step) {
    const siblings = view.element.dataset.siblings.split(" ")
    const leaf = siblings[siblings.indexOf(view.id) + step]
    if (!leaf) return
    try {
      if (this.#chat.canWrite) await post(`/c/${this.#chat.conversation}/select`, { leaf })
      else this.#chosenLeaf = leaf
      await this.showBranch()
      find(`[data-message="${leaf}"] [data-action=${step < 0 ? "previous" : "next"}]`, this.#element)?.focus()
    } catch (error) {
      toast(error.message)
    }
  }

  #edit(view) {
    edit(view, (text) => {
      const parent = view.element.dataset.parent || null
      const uploads = findAll("[data-upload]", view.element).map(({ dataset }) => dataset.upload)
      const collections = findAll("[data-collection]", view.element).map(({ dataset }) => dataset.collection)
      this.#queue.push({ conversation: this.#chat.conversation, parent, text, ...this.options(), uploads, collections })
    })
  }

  #copy(view, button) {
    return copyWords(view.message.text, button)
  }

  #closed() {
    this.#socket.unsubscribe(this.#chat.conversation)
    toast(t("This chat is no longer shared with you."))
    find("[data-text]")?.setAttribute("disabled", "")
  }

  #viewOf(target) {
    return this.#views.get(target.closest("[data-message]").dataset.message)
  }

  #articles() {
    return findAll(":scope > [data-message]", this.#element)
  }

  #tell(name) {
    for (const listener of this.#listeners[name]) listener()
  }
}

async function copyWords(text, button) {
  try {
    await copyText(text)
  } catch {
    return toast(t("The browser did not allow copying."))
  }
  const icon = find("use", button)
  if (!icon) return flash(button)
  const href = icon.getAttribute("href")
  icon.setAttribute("href", href.replace(/#.*/, "#check"))
  setTimeout(() => icon.setAttribute("href", href), 1_500)
}

function flash(button) {
  const words = button.textContent
  button.textContent = t("Copied")
  setTimeout(() => { button.textContent = words }, 1_500)
}
