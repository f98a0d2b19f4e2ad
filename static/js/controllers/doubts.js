// Underlines the sentences that their sources support only in part, or not at all.

import { element, findAll } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { locate, rawWords, wordsOf } from "../models/sentences.js"

const NO_TEXT = ".mark, .math, .code__head, .diagram__source" // nothing of the answer's own words

// `checks`: [{start, end, verdict}] with offsets into the raw `text`. Returns how many sentences were underlined.
export function showDoubts(root, text, checks) {
  clear(root)
  const words = shownWords(root)
  const plain = words.map(({ word }) => word)
  let start = 0
  const found = []
  for (const check of [...checks].sort((a, b) => a.start - b.start)) {
    const place = locate(plain, rawWords(text.slice(check.start, check.end)), start)
    if (!place) continue
    start = place.to
    if (check.verdict !== "supported") found.push({ ...place, verdict: check.verdict })
  }
  // From the end: wrapping splits text nodes, and what lies before keeps its offsets.
  for (const { from, to, verdict } of found.reverse()) underline(words.slice(from, to), verdict)
  return found.length
}

function shownWords(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) => (node.parentElement.closest(NO_TEXT) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT))
  const words = []
  while (walker.nextNode()) {
    const node = walker.currentNode
    for (const { word, at } of wordsOf(node.data)) words.push({ word, node, at })
  }
  return words
}

function underline(words, verdict) {
  const spans = new Map() // text node -> [first, last] of its words
  for (const word of words) spans.set(word.node, [spans.get(word.node)?.[0] ?? word, word])
  for (const [node, [first, last]] of [...spans].reverse()) {
    const range = document.createRange()
    range.setStart(node, first.at)
    range.setEnd(node, last.at + last.word.length)
    range.surroundContents(element("span", { class: `doubt doubt--${verdict === "partly" ? "partly" : "missing"}`, title: wordsFor(verdict), "aria-description": wordsFor(verdict), role: "mark" }))
  }
}

function wordsFor(verdict) {
  return verdict === "partly" ? t("Its sources support this only in part.") : t("This was not found in its sources.")
}

function clear(root) {
  for (const doubt of findAll(".doubt", root)) doubt.replaceWith(...doubt.childNodes)
  root.normalize()
}
