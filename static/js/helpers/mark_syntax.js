// Marks of sources in Markdown: [1], several as [1][3], for markdown-it. Only numbers in `env.sources` are marks; in code,
// formulas and links they stay text. Emits <span class="mark" data-mark="3"> with the number that is shown.

const MARK = /\[(\d{1,3})\]/y

export function markSyntax(markdown) {
  markdown.inline.ruler.before("link", "mark", rule)
  markdown.renderer.rules.mark = (tokens, index, options, env) => {
    const { number } = tokens[index].meta
    return `<span class="mark" data-mark="${number}">${env.numbers.use(number)}</span>`
  }
}

function rule(state, silent) {
  // Asked silently while a link's text is looked for: a mark would be taken for a link within a link, and make it none.
  if (silent || !state.env.sources?.size || state.linkLevel > 0) return false
  MARK.lastIndex = state.pos
  const match = MARK.exec(state.src)
  const number = match && Number(match[1])
  const after = match && state.src[MARK.lastIndex]
  if (!match || !state.env.sources.has(number) || after === "(") return false
  state.push("mark", "", 0).meta = { number }
  state.pos = MARK.lastIndex
  return true
}
