// Markdown to safe elements. Everything passes DOMPurify before it enters the page; raw HTML in answers stays text.
// Images are shown as links: loading one would tell a foreign host who reads the answer, and when.

import MarkdownIt from "../../vendor/markdown-it.js"
import { addressOf, decorate } from "./decorate.js"
import { MarkNumbers, withoutHalfMark } from "../models/mark_numbers.js"
import { countFinished, splitBlocks } from "./blocks.js"
import { markSyntax } from "./mark_syntax.js"
import { mathSyntax } from "./math_syntax.js"
import { SAFE_LINK, purify } from "./purify.js"

const SLOW_MS = 8 // a render that costs half a frame is followed by a pause

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true }).use(mathSyntax).use(markSyntax)
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false })
markdown.validateLink = (url) => SAFE_LINK.test(url.trim())
markdown.renderer.rules.image = imageAsLink
for (const name of ["th_open", "td_open"]) markdown.renderer.rules[name] = alignByClass

// One element that shows Markdown while it grows: finished blocks are left alone, the last is redone at most once a frame.
export class MarkdownView {
  #element
  #text = ""
  #done = 0 // offset up to which blocks are finished
  #tail = [] // blocks that may still change: [{html, nodes, code}]
  #env = { open: false }
  #scheduled = false
  #open = true
  #links = null
  #sources = new Map() // number -> {evidence, name, words}
  #numbers = new MarkNumbers() // of the finished blocks
  #onRender

  constructor(element, onRender = () => {}) {
    this.#element = element
    this.#onRender = onRender
    element.replaceChildren()
    element.classList.add("prose")
  }

  // What marks lead to: a Map of number to {evidence, name, words}. All is drawn again, for a mark may be anywhere.
  set sources(sources) {
    this.#sources = sources
    this.#drawn = null
  }

  // The only addresses that the text may link to; null for any.
  set links(links) {
    this.#links = links && new Set(links.map(addressOf))
    this.#drawn = null
  }

  // Which numbers the marks of the whole text show.
  get numbers() {
    return this.#env.numbers ?? this.#numbers
  }

  // `open` says that more may come. Rendering is put off to the next frame.
  update(text, open) {
    this.#text = open && this.#sources.size ? withoutHalfMark(normal(text)) : normal(text)
    this.#open = open
    if (this.#scheduled) return
    this.#scheduled = true
    requestAnimationFrame(() => this.#renderNow())
  }

  // At once; for text that is complete.
  render(text) {
    this.#text = normal(text)
    this.#open = false
    this.#draw()
  }

  #renderNow() {
    this.#scheduled = false
    const began = performance.now()
    this.#draw()
    const cost = performance.now() - began
    if (cost < SLOW_MS) return
    this.#scheduled = true
    setTimeout(() => requestAnimationFrame(() => this.#renderNow()), cost * 2)
  }

  #draw() {
    const changed = this.#drawn === null || !this.#text.startsWith(this.#drawn)
    // A link that was used above its definition can only be known at the end.
    const late = !this.#open && this.#drawnOpen && Object.keys(this.#env.references ?? {}).length > 0
    if (changed || late) this.#reset()
    Object.assign(this.#env, { open: this.#open, sources: this.#sources, numbers: this.#numbers.copy() })
    const rest = this.#text.slice(this.#done)
    const blocks = splitBlocks(rest, (text) => markdown.parse(text, this.#env), this.#open)
    const finished = this.#open ? countFinished(blocks, rest) : blocks.length
    blocks.forEach((block, index) => {
      this.#place(block, index, index < finished)
      if (index === finished - 1) this.#numbers = this.#env.numbers.copy()
    })
    this.#dropFrom(blocks.length)
    this.#tail.splice(0, finished)
    if (finished) this.#done += blocks[finished]?.from ?? rest.length
    this.#drawn = this.#text
    this.#drawnOpen = this.#open
    this.#onRender()
  }

  #drawn = ""
  #drawnOpen = true

  #reset() {
    this.#element.replaceChildren()
    this.#done = 0
    this.#tail = []
    this.#numbers = new MarkNumbers()
    this.#env = { open: this.#open }
  }

  // Puts one block of the tail in its place; equal HTML keeps its elements, so nothing flickers.
  #place(block, index, isFinished) {
    const old = this.#tail[index]
    const code = codeOf(block.tokens)
    if (old?.code && code?.info === old.code.info && !isFinished) return this.#growCode(old, code)
    const html = markdown.renderer.render(block.tokens, markdown.options, this.#env)
    if (old?.html === html && old.isFinished === isFinished) return
    const fragment = purify(html)
    decorate(fragment, { isFinished, sources: this.#sources, links: this.#links })
    const nodes = [...fragment.childNodes]
    const next = { html, nodes, code, isFinished }
    if (old) old.nodes[0]?.before(fragment)
    else this.#element.append(fragment)
    old?.nodes.forEach((node) => node.remove())
    this.#tail[index] = next
  }

  #growCode(old, code) {
    if (code.content === old.code.content) return
    const target = old.nodes.find((node) => node.nodeType === Node.ELEMENT_NODE)?.querySelector("code")
    target.append(code.content.startsWith(old.code.content) ? code.content.slice(old.code.content.length) : "")
    if (!code.content.startsWith(old.code.content)) target.textContent = code.content
    old.code = code
    old.html = ""
  }

  #dropFrom(index) {
    for (const { nodes } of this.#tail.splice(index)) nodes.forEach((node) => node.remove())
  }
}

function codeOf(tokens) {
  return tokens.length === 1 && tokens[0].type === "fence" ? { info: tokens[0].info, content: tokens[0].content } : null
}

// The parser counts lines this way; offsets of blocks are offsets into this text.
function normal(text) {
  return text.replace(/\r\n?/g, "\n").replaceAll("\0", "\uFFFD")
}

function imageAsLink(tokens, index) {
  const { escapeHtml } = markdown.utils
  const label = escapeHtml(tokens[index].content || tokens[index].attrGet("src"))
  const inLink = tokens.slice(0, index).reduce((depth, token) => depth + (token.type.startsWith("link_") ? token.nesting : 0), 0) > 0
  return inLink ? `<span>${label}</span>` : `<a class="image-link" href="${escapeHtml(tokens[index].attrGet("src"))}">${label}</a>`
}

// Inline styles are forbidden on this site, so columns are aligned by class.
function alignByClass(tokens, index, options, env, self) {
  const token = tokens[index]
  const align = /text-align:(left|center|right)/.exec(token.attrGet("style") ?? "")?.[1]
  token.attrs = align ? [["class", `align-${align}`]] : null
  return self.renderToken(tokens, index, options)
}
