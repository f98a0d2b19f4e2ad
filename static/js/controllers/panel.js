// The side panel: shows a source at its exact place, or a file of a question. On a phone it is a sheet over everything.

import { element, find, findAll, onAction } from "../helpers/dom.js"
import { getPartial } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { showBoxes } from "./boxes.js"

const STORAGE_KEY = "sonde:panel-width"
const NARROWEST = 320
const LEFT_FOR_CHAT = 420 // what the chat keeps beside the panel
const STEP = 32
const PHONE = matchMedia("(max-width: 860px)")

export class Panel {
  #root
  #element = find("[data-panel]")
  #title = find("[data-panel-title]")
  #body = find("[data-panel-body]")
  #tools = find("[data-panel-tools]")
  #grip = find("[data-panel-grip]")
  #opener = null
  #asked = "" // path of what is shown, or on its way
  #pdf = null // {url, view}
  #redraw

  constructor({ chat }) {
    this.#root = chat.root
    const open = (path) => (button) => this.open(path(button.dataset), button)
    onAction(this.#root, {
      source: open(({ evidence }) => `/sources/${evidence}`),
      "show-file": open(({ upload }) => `/files/${upload}/view`),
      page: open(({ page }) => `/sources/pages/${page}`),
      pages: open(({ answer }) => `/answers/${answer}/pages`),
      passage: open(({ upload, passage }) => `/files/${upload}/view?passage=${passage}`),
    })
    onAction(this.#element, {
      "close-panel": () => this.close(),
      "zoom-in": () => this.#zoom(1.25),
      "zoom-out": () => this.#zoom(0.8),
    })
    this.#setWidth(Number(localStorage.getItem(STORAGE_KEY)) || null)
    this.#listenToGrip()
    new ResizeObserver(() => this.#resized()).observe(this.#body)
    PHONE.addEventListener("change", () => this.#cover())
  }

  get isOpen() {
    return !this.#element.hidden
  }

  async open(path, opener) {
    const isInside = this.#element.contains(opener)
    if (!isInside) this.#opener = opener
    this.#asked = path
    this.#mark(opener)
    this.#reveal()
    if (isInside) this.#title.focus({ preventScroll: true }) // what was pressed goes with what is shown
    if (!this.#pdf) this.#say(t("Opening…"))
    let source
    try {
      source = find("[data-source]", await getPartial(path))
      if (!source) throw new Error(t("That did not work. Try again."))
    } catch (error) {
      if (this.#asked === path) this.#fail(error.message)
      return
    }
    if (this.#asked === path) await this.#show(source, path)
  }

  // False when it was not open.
  close() {
    if (!this.isOpen) return false
    this.#asked = ""
    this.#element.hidden = true
    this.#root.classList.remove("chat--panel")
    this.#cover()
    this.#closePdf()
    this.#body.replaceChildren()
    this.#mark(null)
    const opener = this.#sameAs(this.#opener) ?? find("[data-text]")
    opener?.focus()
    return true
  }

  #reveal() {
    const wasOpen = this.isOpen
    this.#element.hidden = false
    this.#root.classList.add("chat--panel")
    this.#cover()
    if (!wasOpen) this.#title.focus({ preventScroll: true })
  }

  async #show(source, path) {
    const { sourceKind: kind, title, content, page, boxes } = source.dataset
    this.#title.textContent = title
    const places = JSON.parse(boxes || "[]")
    const kept = kind === "page" && this.#pdf?.url === content ? this.#pdf : null
    if (!kept) this.#closePdf()
    const stage = find("[data-pdf]", source)
    if (kept && stage) stage.replaceWith(find("[data-pdf]", this.#body))
    this.#body.replaceChildren(source)
    this.#tools.hidden = !kept
    this.#body.scrollTop = 0
    if (kept) kept.view.show(Number(page), places)
    else if (kind === "page" && content) await this.#showPdf(source, path, { content, page: Number(page), places })
    else if (kind === "region") this.#showRegion(source, places)
    else find(".source__hit", source)?.scrollIntoView({ block: "center" })
  }

  async #showPdf(source, path, { content, page, places }) {
    const stage = find("[data-pdf]", source)
    try {
      const { PdfView } = await import("./pdf_view.js")
      const view = await PdfView.open(stage, this.#body, content)
      if (this.#asked !== path) return view.close()
      this.#pdf = { url: content, view }
      this.#tools.hidden = false
      view.show(page, places)
    } catch (error) {
      if (this.#asked !== path) return
      console.warn("pdf: %s", error.name) // a file that our viewer cannot open is nobody's mistake here
      stage.replaceChildren(element("p", { class: "source__note" }, t("This PDF cannot be shown here. Its text is below; the file itself can be downloaded.")))
      const text = find("[data-source-text]", source)
      if (text) text.open = true
    }
  }

  #showRegion(source, places) {
    const frame = find("[data-picture]", source)
    if (!frame) return
    showBoxes(frame, places)
    const image = find("img", frame)
    const scroll = () => find(".place", frame)?.scrollIntoView({ block: "center" })
    if (image.complete) scroll()
    else image.addEventListener("load", scroll, { once: true })
  }

  #say(words) {
    this.#tools.hidden = true
    this.#body.replaceChildren(element("p", { class: "source__note", role: "status" }, element("span", { class: "sounding", "aria-hidden": "true" }), words))
  }

  #fail(words) {
    this.#closePdf()
    this.#title.textContent = t("Source")
    this.#tools.hidden = true
    this.#body.replaceChildren(element("p", { class: "notice notice--error", role: "alert" }, words))
  }

  #closePdf() {
    this.#pdf?.view.close()
    this.#pdf = null
  }

  #zoom(factor) {
    if (this.#pdf) this.#pdf.view.zoom *= factor
  }

  // What opened the panel, or what stands for it now: an answer is drawn again when its sources are known.
  #sameAs(opener) {
    if (!opener || opener.isConnected) return opener
    const { action, evidence, upload, answer } = opener.dataset
    const same = evidence ? `[data-evidence="${evidence}"]` : answer ? `[data-answer="${answer}"]` : `[data-upload="${upload}"]`
    return find(`[data-action="${action}"]${same}`, this.#root)
  }

  // Which mark or file is shown.
  #mark(opener) {
    for (const old of findAll("[data-shown]", this.#root)) old.removeAttribute("data-shown")
    opener?.setAttribute("data-shown", "")
  }

  // A sheet takes the whole screen: what lies under it must not be reached.
  #cover() {
    const isSheet = this.isOpen && PHONE.matches
    for (const part of [find("[data-stage]"), find("[data-sidebar]")]) part.inert = isSheet
    this.#element.setAttribute("role", isSheet ? "dialog" : "region")
    this.#element.ariaModal = isSheet ? "true" : null
  }

  #resized() {
    clearTimeout(this.#redraw)
    if (this.#pdf) this.#redraw = setTimeout(() => this.#pdf?.view.redraw(), 200)
  }

  #listenToGrip() {
    const rtl = document.documentElement.dir === "rtl"
    const widthAt = (x) => (rtl ? x : innerWidth - x)
    this.#grip.addEventListener("pointerdown", (event) => {
      event.preventDefault()
      this.#grip.setPointerCapture(event.pointerId)
      this.#grip.addEventListener("pointermove", move)
      this.#grip.addEventListener("pointerup", () => this.#grip.removeEventListener("pointermove", move), { once: true })
    })
    const move = ({ clientX }) => this.#setWidth(widthAt(clientX), { isKept: true })
    this.#grip.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: rtl ? -STEP : STEP, ArrowRight: rtl ? STEP : -STEP }[key]
      if (step) this.#setWidth(this.#element.offsetWidth + step, { isKept: true })
    })
  }

  #setWidth(wanted, { isKept = false } = {}) {
    if (!wanted) return
    const width = Math.round(Math.max(NARROWEST, Math.min(wanted, innerWidth - LEFT_FOR_CHAT)))
    this.#root.style.setProperty("--panel", `${width}px`)
    this.#grip.ariaValueNow = String(width)
    if (isKept) localStorage.setItem(STORAGE_KEY, String(width))
  }
}
