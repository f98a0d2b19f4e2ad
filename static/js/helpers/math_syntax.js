// LaTeX in Markdown: \( \), \[ \] and $$ $$, inline and as blocks, for markdown-it. A single $ stays money.
// Emits <span class="math" data-display> with the source as text, so that it reads well before KaTeX arrives.

const INLINE = [["\\(", "\\)", false], ["\\[", "\\]", true], ["$$", "$$", true]]
const BLOCK = [["\\[", "\\]"], ["$$", "$$"]]

export function mathSyntax(markdown) {
  markdown.inline.ruler.before("escape", "math", inlineRule)
  markdown.block.ruler.before("fence", "math_block", blockRule, { alt: ["paragraph", "blockquote", "list"] })
  markdown.renderer.rules.math = (tokens, index) => html(markdown, tokens[index], "span")
  markdown.renderer.rules.math_block = (tokens, index) => html(markdown, tokens[index], "div")
}

function html(markdown, token, tag) {
  const display = token.meta.display ? ' data-display="true"' : ""
  const state = token.meta.open ? ' data-open="true"' : ""
  return `<${tag} class="math"${display}${state}>${markdown.utils.escapeHtml(token.content)}</${tag}>`
}

function inlineRule(state, silent) {
  for (const [opener, closer, display] of INLINE) {
    if (!state.src.startsWith(opener, state.pos)) continue
    const start = state.pos + opener.length
    const end = state.src.indexOf(closer, start)
    if (end <= start || !state.src.slice(start, end).trim()) continue
    if (!silent) push(state, "math", state.src.slice(start, end), { display })
    state.pos = end + closer.length
    return true
  }
  return false
}

// An unclosed block is open to the end while the answer streams (env.open), and plain text once it has ended.
function blockRule(state, startLine, endLine, silent) {
  const first = lineOf(state, startLine)
  const pair = BLOCK.find(([opener]) => first.startsWith(opener))
  if (!pair) return false
  const [opener, closer] = pair
  const lines = [first.slice(opener.length)]
  let line = startLine
  while (!lines.at(-1).trimEnd().endsWith(closer)) {
    if (lines.at(-1).includes(closer)) return false // text follows the formula: inline then
    if (++line >= endLine) break
    lines.push(lineOf(state, line))
  }
  const closed = line < endLine
  if (!closed && !state.env.open) return false
  if (silent) return true
  const body = lines.join("\n").trimEnd()
  const token = push(state, "math_block", closed ? body.slice(0, -closer.length).trim() : body, { display: true, open: !closed })
  state.line = Math.min(line + 1, endLine)
  token.block = true
  token.map = [startLine, state.line]
  return true
}

function lineOf(state, line) {
  return state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line])
}

function push(state, type, content, meta) {
  const token = state.push(type, "", 0)
  Object.assign(token, { content, meta })
  return token
}
