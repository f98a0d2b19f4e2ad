// Mermaid diagrams. The finished drawing is shown as an image: inside an <img> no script of it can run, nothing is
// loaded from elsewhere, and its own styles work although the site's policy forbids inline styles.

import mermaid from "../../vendor/mermaid/mermaid.js"
import { element, find } from "./dom.js"
import { t } from "./strings.js"

const LONGEST_SOURCE = 20_000
// Labels need no HTML but line breaks. Mermaid measures them in this page before it sanitises: nothing else gets that far.
const HTML_TAGS = /(?<!<)<(?!br\b)\/?[a-z][^>]*>/gi
let count = 0
let queue = Promise.resolve()

// Replaces the code's body by the drawing; the source stays one click away. A diagram that cannot be drawn stays code.
export function drawDiagram(figure, source) {
  queue = queue.then(() => draw(figure, source))
  return queue
}

async function draw(figure, source) {
  if (source.length > LONGEST_SOURCE) return
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark")
  const stage = element("div", { class: "diagram__stage", "aria-hidden": "true" })
  document.body.append(stage)
  try {
    mermaid.initialize({
      startOnLoad: false, securityLevel: "strict", theme: dark ? "dark" : "neutral", htmlLabels: false,
      flowchart: { htmlLabels: false }, fontFamily: "sans-serif", suppressErrorRendering: true,
    })
    const { svg } = await mermaid.render(`diagram-${++count}`, source.replace(HTML_TAGS, ""), stage)
    show(figure, svg)
  } catch {
    find("figcaption .code__language", figure).textContent = t("diagram that cannot be drawn")
  } finally {
    stage.remove()
  }
}

function show(figure, svg) {
  const [, , width, height] = /viewBox="([-\d.]+) ([-\d.]+) ([\d.]+) ([\d.]+)"/.exec(svg)?.slice(1).map(Number) ?? []
  const sized = width ? svg.replace(/<svg /, `<svg height="${height}" `).replace(/width="100%"/, `width="${width}"`) : svg
  const image = element("img", { class: "diagram__image", alt: t("Diagram; its source is below") })
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(sized)}`
  const pre = find("pre", figure)
  const source = element("details", { class: "diagram__source" }, element("summary", {}, t("Source")))
  pre.before(image, source)
  source.append(pre)
}
