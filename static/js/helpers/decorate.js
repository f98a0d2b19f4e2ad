// What a rendered block gets beyond its HTML: directions, safe links, marks of sources, code with its language and copy,
// formulas, diagrams.
// The heavy libraries are loaded when the first block needs them; until then the source is readable as it stands.

import { element, findAll } from "./dom.js"
import { purify } from "./purify.js"
import { t } from "./strings.js"

const HIGHLIGHT_LIMIT = 60_000 // characters; longer code would hold up the page for more than a frame or two
const BLOCKS = "p, li, h1, h2, h3, h4, h5, h6, blockquote, td, th"

// `links`: the only addresses that links may lead to; null for any.
export function decorate(fragment, { isFinished, sources = new Map(), links = null }) {
  for (const block of findAll(BLOCKS, fragment)) block.dir = "auto"
  for (const link of findAll("a[href]", fragment)) {
    if (links && !links.has(addressOf(link.href))) link.replaceWith(...wordsOf(link))
    else Object.assign(link, { rel: "noopener noreferrer nofollow", target: "_blank" })
  }
  for (const table of findAll("table", fragment)) wrapTable(table)
  for (const code of findAll("pre > code", fragment)) decorateCode(code, isFinished)
  for (const mark of findAll(".mark", fragment)) mark.replaceWith(markButton(mark, sources.get(Number(mark.dataset.mark))))
  for (const math of findAll(".math:not([data-open])", fragment)) void typeset(math)
}

// As browsers write it, without the place in the page; "" for what is none.
export function addressOf(href) {
  try {
    const url = new URL(href)
    url.hash = ""
    return url.href
  } catch {
    return ""
  }
}

// What a link says, and where it would lead, to be read and not to be followed.
function wordsOf(link) {
  const { hostname } = link
  return link.textContent.includes(hostname) ? [...link.childNodes] : [...link.childNodes, ` (${hostname})`]
}

// Wide tables scroll by themselves; a scroll region needs a name and keyboard focus.
function wrapTable(table) {
  const frame = element("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": t("Table") })
  table.before(frame)
  frame.append(table)
}

function markButton({ textContent: number, dataset }, { evidence, name, words }) {
  const label = t("Source {number}: {place}", { number, place: [name, words].filter(Boolean).join(", ") })
  return element("button", { type: "button", class: "mark", "data-action": "source", "data-mark": dataset.mark, "data-evidence": evidence, "aria-label": label }, number)
}

function decorateCode(code, isFinished) {
  const language = /language-([\w+#-]+)/.exec(code.className)?.[1] ?? ""
  const pre = code.parentElement
  const figure = element("figure", { class: "code", dir: "ltr" })
  const copy = element("button", { type: "button", class: "code__copy", "data-action": "copy-code" }, t("Copy"))
  const caption = element("figcaption", { class: "code__head" }, element("span", { class: "code__language" }, language || t("text")), copy)
  pre.before(figure)
  pre.tabIndex = 0
  figure.append(caption, pre)
  if (!isFinished) return
  if (language === "mermaid") void draw(figure, code.textContent)
  else if (language && code.textContent.length < HIGHLIGHT_LIMIT) void highlight(code, language)
}

async function highlight(code, language) {
  const { default: highlighter } = await import("../../vendor/highlight.js")
  if (!highlighter.getLanguage(language)) return
  code.replaceChildren(purify(highlighter.highlight(code.textContent, { language }).value))
}

async function typeset(math) {
  const { default: katex } = await loadKatex()
  const source = math.textContent
  // Drawn through the DOM, not as an HTML string: the site's policy forbids style attributes in markup.
  try {
    katex.render(source, math, { displayMode: math.dataset.display === "true", trust: false, maxSize: 40, maxExpand: 500 })
  } catch (error) {
    if (!(error instanceof katex.ParseError)) throw error
    math.textContent = source // as it was written: half a formula is worse than its source
    return
  }
  math.dataset.source = source
  math.dir = "ltr"
}

let katexLoading
function loadKatex() {
  katexLoading ??= (async () => {
    const href = new URL("../../vendor/katex.css", import.meta.url).href
    document.head.append(element("link", { rel: "stylesheet", href }))
    return import("../../vendor/katex.js")
  })()
  return katexLoading
}

async function draw(figure, source) {
  const { drawDiagram } = await import("./diagram.js")
  await drawDiagram(figure, source)
}
