import assert from "node:assert/strict"
import { test } from "node:test"
import MarkdownIt from "markdown-it"

import { countFinished, splitBlocks } from "../../static/js/helpers/blocks.js"
import { mathSyntax } from "../../static/js/helpers/math_syntax.js"

const markdown = new MarkdownIt({ html: false }).use(mathSyntax)
const parse = (env) => (text, open) => markdown.parse(text, Object.assign(env, { open }))
const render = (text) => markdown.render(text, { open: false })

const TEXT = `# Depth

The *line* goes down
until it stops. #not-a-heading

- one
- two

  still two
- three

| fathoms | metres |
|--------:|-------:|
| 1 | 1.83 |

\`\`\`python
def sound(line):

    return line.depth
\`\`\`
\\[
p = \\rho g h

+ p_0
\\]

Setext
------

> quoted
lazy

1. first
2. second

$$ a = b $$
The end, with \\(x^2\\) and \\[y\\] in it.
`

// Renders as the page does: what was finished is never touched again.
function stream(text, cuts) {
  const env = {}
  let done = 0
  let html = ""
  for (const cut of cuts) {
    const rest = text.slice(0, cut).slice(done)
    const blocks = splitBlocks(rest, parse(env), true)
    const finished = countFinished(blocks, rest)
    for (const { tokens } of blocks.slice(0, finished)) html += markdown.renderer.render(tokens, markdown.options, env)
    if (finished) done += blocks[finished].from
  }
  for (const { tokens } of splitBlocks(text.slice(done), parse(env), false)) html += markdown.renderer.render(tokens, markdown.options, env)
  return html
}

test("streamed letter by letter, the text renders as it does at once", () => {
  assert.equal(stream(TEXT, Array.from(TEXT, (_, index) => index + 1)), render(TEXT))
})

test("streamed in pieces of any size as well", () => {
  for (const size of [2, 3, 7, 16, 61]) {
    const cuts = Array.from({ length: Math.ceil(TEXT.length / size) }, (_, index) => (index + 1) * size)
    assert.equal(stream(TEXT, cuts), render(TEXT), `size ${size}`)
  }
})

test("a half line finishes nothing: '#' may become a word", () => {
  const text = "a\n#"
  assert.equal(countFinished(splitBlocks(text, parse({}), true), text), 0)
})

test("an open fence is one block to the end", () => {
  const blocks = splitBlocks("intro\n\n```js\na\n\nb\n", parse({}), true)
  assert.deepEqual(blocks.map(({ tokens }) => tokens[0].type), ["paragraph_open", "fence"])
})

test("an unclosed formula is open while it streams, and text afterwards", () => {
  const text = "$$\na = b\n"
  assert.equal(splitBlocks(text, parse({}), true)[0].tokens[0].type, "math_block")
  assert.equal(splitBlocks(text, parse({}), false)[0].tokens[0].type, "paragraph_open")
})

test("a dollar is money, and code keeps its backslashes", () => {
  assert.equal(render("It costs $5 and $6."), "<p>It costs $5 and $6.</p>\n")
  assert.equal(render("`\\(x\\)`"), "<p><code>\\(x\\)</code></p>\n")
})
