// pdf.js: opens a PDF by parts, and draws a page with its text over it, which can be selected and read aloud.

import { element } from "./dom.js"

const VENDOR = new URL("../../vendor/", import.meta.url)
const MAX_PIXELS = 16_000_000 // of one canvas; phones refuse larger ones

let loading
function load() {
  loading ??= import("../../vendor/pdf.js").then((library) => {
    library.GlobalWorkerOptions.workerSrc = new URL("pdf.worker.js", VENDOR).href
    return library
  })
  return loading
}

export async function openPdf(url) {
  const { getDocument } = await load()
  return getDocument({
    url,
    // Only the parts that a page needs: of a file of 200 MB the tenth page is a few requests.
    disableAutoFetch: true,
    disableStream: true,
    isEvalSupported: false, // the site's policy forbids it
    enableXfa: false,
    cMapUrl: new URL("pdf/cmaps/", VENDOR).href,
    cMapPacked: true,
    standardFontDataUrl: new URL("pdf/standard_fonts/", VENDOR).href,
    wasmUrl: new URL("pdf/wasm/", VENDOR).href,
    iccUrl: new URL("pdf/iccs/", VENDOR).href,
  }).promise
}

// Fills `target`, an element as wide as the page shall be. {done, stop}: `done` resolves when it is drawn or stopped.
export function drawPage(page, target) {
  const width = target.clientWidth
  const plain = page.getViewport({ scale: 1 })
  const scale = width / plain.width
  const sharp = Math.min(devicePixelRatio || 1, Math.sqrt(MAX_PIXELS / (width * plain.height * scale)))
  const canvas = element("canvas", { class: "pdf__canvas", "aria-hidden": "true" })
  const viewport = page.getViewport({ scale: scale * sharp })
  canvas.width = Math.floor(viewport.width)
  canvas.height = Math.floor(viewport.height)
  const task = page.render({ canvas, viewport })
  let layer = null
  const done = task.promise.then(async () => {
    target.prepend(canvas)
    const { TextLayer } = await load()
    const container = element("div", { class: "pdf__text" })
    container.style.setProperty("--total-scale-factor", scale)
    layer = new TextLayer({ textContentSource: page.streamTextContent(), container, viewport: page.getViewport({ scale }) })
    await layer.render()
    canvas.after(container)
  }).catch((error) => {
    if (!["RenderingCancelledException", "AbortException"].includes(error.name)) throw error
  })
  return { done, stop: () => { task.cancel(); layer?.cancel() } }
}
