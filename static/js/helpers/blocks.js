// Cuts growing Markdown into top-level blocks, so that finished ones are rendered once and only the last is redone.
// A block is finished when a later block has begun before the last full line: a half line may still change its meaning.

// `parse(text, open)` gives markdown-it's tokens. Returns [{from, to, tokens}] with offsets into `text`.
export function splitBlocks(text, parse, open) {
  const starts = lineStarts(text)
  const blocks = []
  for (const tokens of topLevel(parse(text, open))) {
    const [first, last] = tokens[0].map ?? [0, starts.length]
    blocks.push({ from: starts[first] ?? text.length, to: starts[last] ?? text.length, tokens })
  }
  return blocks
}

// How many leading blocks can never change again, whatever is added to `text`.
export function countFinished(blocks, text) {
  const whole = text.lastIndexOf("\n") + 1
  const settled = blocks.filter((block) => block.from < whole).length
  return Math.max(0, settled - 1)
}

function* topLevel(tokens) {
  let group = []
  for (const token of tokens) {
    group.push(token)
    if (token.level === 0 && token.nesting <= 0) {
      yield group
      group = []
    }
  }
}

function lineStarts(text) {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return starts
}
