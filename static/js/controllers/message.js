// One message on the page: its element from the server, its live text from the stream.

import { element, find, findAll } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { isEnded, isOpen } from "../models/conversation_stream.js"
import { showDoubts } from "./doubts.js"
import { fold, renew } from "./searches.js"

const SPOKEN = 600 // characters read out when an answer is done; more would hold a listener hostage
let markdownLoading

export class MessageView {
  #stream
  #markdown = null
  #shownText = null
  #thoughtSince = 0
  #served = {} // the state that the server wrote into the element
  #sources = "" // as JSON, like the checks of its sentences

  constructor(article, stream) {
    this.element = article
    this.#stream = stream
    this.id = article.dataset.message
    this.#hold(article)
    this.needsRender = true
  }

  get message() {
    return this.#stream.get(this.id)
  }

  // The element is older than the stream: the answer has ended since the server made it, so its ending is missing.
  get isBehind() {
    const { answer, status } = this.message
    return isEnded(status) && (this.#served.status !== status || this.#served.answer !== answer)
  }

  // What a screen reader is told at the end.
  get spoken() {
    return (find("[data-part=text]", this.element)?.textContent ?? "").slice(0, SPOKEN)
  }

  // A newer element from the server: take its frame, keep the rendered text.
  replace(article) {
    this.#hold(article)
    const old = this.element
    if (old.classList.contains("message--editing")) return
    if (this.#markdown) find("[data-part=text]", article).replaceWith(find("[data-part=text]", old))
    keepOpen(old, article)
    const active = old.contains(document.activeElement) ? document.activeElement : null
    keepSearches(old, article)
    old.replaceWith(article)
    this.element = article
    if (article.contains(active)) active.focus()
    else if (active?.dataset.action) find(`[data-action="${active.dataset.action}"]`, article)?.focus()
    this.needsRender = true
  }

  update() {
    const { status, answer, text } = this.message
    if (answer) this.element.dataset.answer = answer
    if (status) this.element.dataset.status = status
    this.element.toggleAttribute("data-writing", text !== "" || this.message.reasoning !== "")
    fold(this.element, this.element.hasAttribute("data-writing"))
    this.#showWaiting(status)
    this.#showReasoning(status)
    void this.#showText(isOpen(status))
  }

  render() {
    this.needsRender = false
    if (this.message.role === "assistant") this.update()
  }

  #hold(article) {
    const { role, parent, answer, status, errorCode, finishReason } = article.dataset
    this.#served = { answer, status }
    this.#stream.hold(this.id, {
      role, parent: parent || null, answer: answer ?? null, status: status ?? null, errorCode: errorCode ?? "", finishReason: finishReason ?? "",
      text: find("[data-part=text]", article).textContent, reasoning: find("[data-part=reasoning]", article)?.textContent ?? "",
    })
  }

  async #showText(open) {
    const { MarkdownView } = await loadMarkdown()
    const { text } = this.message
    const key = `${open}:${text.length}`
    if (this.#markdown && key === this.#shownText && !open) return this.#sourcesOnly()
    this.#shownText = key
    this.#markdown ??= new MarkdownView(find("[data-part=text]", this.element), () => this.#drawn())
    this.#takeSources()
    this.#markdown.update(text, open)
  }

  // A newer element around the same text: only its list and verdicts may be new.
  #sourcesOnly() {
    const before = this.#sources
    this.#takeSources()
    if (before === this.#sources) this.#drawn()
    else this.#markdown.update(this.message.text, false)
  }

  // They come with the element: after the runner has chosen them, before or while the answer is written.
  #takeSources() {
    const { sources = "", links = "" } = this.element.dataset
    if (sources + links === this.#sources) return
    this.#sources = sources + links
    this.#markdown.sources = new Map(JSON.parse(sources || "[]").map((source) => [source.number, source]))
    this.#markdown.links = links ? JSON.parse(links) : null
  }

  // The text has been drawn: the list below follows the numbers in it, and its sentences get their verdicts.
  #drawn() {
    const list = find("[data-sources-list]", this.element)
    if (list) arrange(list, this.#markdown.numbers, isEnded(this.message.status))
    const { checks } = this.element.dataset
    if (!checks || isOpen(this.message.status)) return
    const count = showDoubts(find("[data-part=text]", this.element), this.message.text, JSON.parse(checks))
    const doubts = list && find("[data-doubts]", list)
    if (!doubts) return
    doubts.hidden = count === 0
    doubts.textContent = count === 1 ? t("1 sentence is underlined: its sources do not fully support it") : t("{count} sentences are underlined: their sources do not fully support them", { count })
  }

  #showWaiting(status) {
    const words = find("[data-waiting-words]", this.element)
    if (words && status === "running") words.textContent = t("Reading the question…")
  }

  #showReasoning(status) {
    const { reasoning, text } = this.message
    const box = find("[data-thinking]", this.element)
    if (!box || !reasoning) return
    box.hidden = false
    const body = find("[data-part=reasoning]", box)
    const held = body.textContent
    if (held !== reasoning) reasoning.startsWith(held) ? body.append(reasoning.slice(held.length)) : (body.textContent = reasoning)
    const now = isOpen(status) && text === ""
    box.classList.toggle("thinking--now", now)
    this.#showThinkingTime(find("[data-thinking-words]", box), now, isOpen(status))
  }

  #showThinkingTime(words, now, open) {
    if (now) {
      this.#thoughtSince ||= performance.now()
      words.textContent = t("Thinking…")
    } else if (open && this.#thoughtSince) {
      words.textContent = t("Thought for {seconds} s", { seconds: Math.max(1, Math.round((performance.now() - this.#thoughtSince) / 1000)) })
      this.#thoughtSince = 0
    }
  }
}

// The cited ones by the numbers that their marks show, then those that were only read. Where an answer cites none, as
// small models do, what was read is the evidence: it is open then.
function arrange(list, numbers, isDone) {
  const rows = findAll("[data-number]", list).map((row) => ({ row, number: Number(row.dataset.number) }))
  const shown = ({ number }) => numbers.shown(number)
  const cited = rows.filter(shown).sort((a, b) => shown(a) - shown(b))
  const others = rows.filter((row) => !shown(row)) // the best first, as they came
  find("[data-cited]", list).append(...cited.map(({ row }) => row))
  find("[data-uncited]", list).append(...others.map(({ row }) => row))
  for (const row of rows) find("[data-shown-number]", row.row).textContent = shown(row) ?? "·"
  find("[data-uncited-label]", list).hidden = !others.length || !cited.length
  if (isDone && !cited.length && !("opened" in list.dataset)) list.open = true
  if (isDone) list.dataset.opened = ""
}

function keepOpen(old, article) {
  for (const selector of ["[data-thinking]", "[data-sources-list]", "[data-computed]", ".message__whole"]) {
    const box = find(selector, article)
    if (!box) continue
    const before = find(selector, old)
    box.open = before?.open ?? false
    if (before && "opened" in before.dataset) box.dataset.opened = ""
  }
}

// Their elements stay: queries may be being typed into them.
function keepSearches(old, article) {
  for (const fresh of findAll("[data-search]", article)) {
    const shown = find(`[data-search="${fresh.dataset.search}"]`, old)
    if (!shown) continue
    renew(shown, fresh)
    fresh.replaceWith(shown)
  }
}

// Without the library (a failed load) answers stay readable as plain text.
function loadMarkdown() {
  markdownLoading ??= import("../helpers/markdown.js").catch(() => ({ MarkdownView: PlainView }))
  return markdownLoading
}

class PlainView {
  #element

  constructor(target) {
    this.#element = target
  }

  update(text) {
    this.#element.replaceChildren(element("span", {}, text))
  }
}
