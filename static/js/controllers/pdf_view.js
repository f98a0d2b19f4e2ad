// A PDF in the side panel: its pages one below the other, drawn when they come near, with places marked on them.

import { element } from "../helpers/dom.js"
import { openPdf, drawPage } from "../helpers/pdf.js"
import { t } from "../helpers/strings.js"
import { showBoxes } from "./boxes.js"

const NUM_DRAWN = 8 // pages that keep their canvas: one of A4 at twice the pixels takes 8 MB
const HEAD_PX = 52 // what stays at the top of the panel
const NEAR = "600px 0px" // drawn before it is scrolled to

export class PdfView {
  #element
  #scroller
  #document
  #pages = [] // elements, page 1 first
  #drawn = new Map() // number -> {stop}, the latest last
  #observer
  #boxes = []
  #marked = 0
  #zoom = 1

  // `scroller`: what scrolls around `target`. Throws what pdf.js throws for a file that it cannot open.
  static async open(target, scroller, url) {
    const view = new PdfView()
    view.#element = target
    view.#scroller = scroller
    view.#document = await openPdf(url)
    await view.#lay()
    return view
  }

  get numPages() {
    return this.#pages.length
  }

  get zoom() {
    return this.#zoom
  }

  // Scrolls to a page, and to the first of its boxes ([left, top, right, bottom] as fractions of the page).
  show(number, boxes) {
    this.#unmark()
    this.#marked = Math.min(Math.max(1, number), this.#pages.length)
    this.#boxes = boxes
    const page = this.#pages[this.#marked - 1]
    showBoxes(page, boxes)
    this.#scrollTo(page, boxes[0])
  }

  // The width in times of the panel's own.
  set zoom(zoom) {
    const middle = (this.#scroller.scrollTop + this.#scroller.clientHeight / 2) / this.#scroller.scrollHeight
    this.#zoom = Math.min(4, Math.max(0.5, zoom))
    this.#element.style.setProperty("--zoom", this.#zoom)
    this.#scroller.scrollTop = middle * this.#scroller.scrollHeight - this.#scroller.clientHeight / 2
    this.redraw()
  }

  // The panel has another width: what is drawn would be blurred.
  redraw() {
    for (const [number] of this.#drawn) this.#erase(number)
    for (const page of this.#pages) { this.#observer.unobserve(page); this.#observer.observe(page) }
  }

  close() {
    this.#observer?.disconnect()
    for (const [number] of this.#drawn) this.#erase(number)
    void this.#document.destroy()
  }

  // Until a page is known it has the shape of the first: nearly always right, and mended when it is drawn.
  async #lay() {
    const first = await this.#document.getPage(1)
    const { width, height } = first.getViewport({ scale: 1 })
    for (let number = 1; number <= this.#document.numPages; number++) {
      const page = element("div", { class: "pdf__page", "data-page": number, role: "group", "aria-label": t("Page {number}", { number }) })
      page.style.setProperty("--shape", width / height)
      this.#pages.push(page)
    }
    this.#element.replaceChildren(...this.#pages)
    this.#observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.#seen(entry)), { root: this.#scroller, rootMargin: NEAR })
    for (const page of this.#pages) this.#observer.observe(page)
  }

  #seen({ target, isIntersecting }) {
    const number = Number(target.dataset.page)
    if (isIntersecting && !this.#drawn.has(number)) void this.#draw(number)
  }

  async #draw(number) {
    const job = { isStopped: false, stop: () => { job.isStopped = true } }
    this.#drawn.set(number, job)
    this.#eraseFarthest(number)
    const target = this.#pages[number - 1]
    const page = await this.#document.getPage(number)
    if (job.isStopped) return
    this.#shape(target, page)
    const drawing = drawPage(page, target)
    job.stop = () => { job.isStopped = true; drawing.stop() }
    await drawing.done
    if (!job.isStopped) target.dataset.drawn = ""
  }

  // A page above that turns out longer or shorter must not move what is being read.
  #shape(target, page) {
    const { width, height } = page.getViewport({ scale: 1 })
    const before = target.offsetHeight
    const isAbove = target.getBoundingClientRect().bottom <= this.#scroller.getBoundingClientRect().top
    target.style.setProperty("--shape", width / height)
    if (isAbove) this.#scroller.scrollTop += target.offsetHeight - before
  }

  #erase(number) {
    this.#drawn.get(number).stop()
    this.#drawn.delete(number)
    const page = this.#pages[number - 1]
    delete page.dataset.drawn
    for (const layer of page.querySelectorAll(".pdf__canvas, .pdf__text")) layer.remove()
  }

  #eraseFarthest(from) {
    if (this.#drawn.size <= NUM_DRAWN) return
    const numbers = [...this.#drawn.keys()].sort((a, b) => Math.abs(b - from) - Math.abs(a - from))
    this.#erase(numbers[0])
  }

  #unmark() {
    if (this.#marked) showBoxes(this.#pages[this.#marked - 1], [])
  }

  #scrollTo(page, box) {
    const { top } = page.getBoundingClientRect()
    const within = box ? box[1] * page.offsetHeight - this.#scroller.clientHeight / 3 : 0
    this.#scroller.scrollTop += top - this.#scroller.getBoundingClientRect().top + Math.max(-HEAD_PX, within)
  }
}
