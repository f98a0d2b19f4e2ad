import assert from "node:assert/strict"
import { test } from "node:test"
import MarkdownIt from "markdown-it"

import { markSyntax } from "../../static/js/helpers/mark_syntax.js"
import { mathSyntax } from "../../static/js/helpers/math_syntax.js"
import { MarkNumbers, withoutHalfMark } from "../../static/js/models/mark_numbers.js"

const markdown = new MarkdownIt({ html: false }).use(mathSyntax).use(markSyntax)
const sources = new Map([1, 3, 12].map((number) => [number, {}]))
const render = (text) => markdown.render(text, { sources, numbers: new MarkNumbers() })
const marks = (text) => [...render(text).matchAll(/data-mark="(\d+)">(\d+)</g)].map(([, number, shown]) => `${number} as ${shown}`)

test("marks are numbered by their first use", () => {
  assert.deepEqual(marks("Deep [3], and [12][3] too [1]."), ["3 as 1", "12 as 2", "3 as 1", "1 as 3"])
})

test("only numbers of sources are marks", () => {
  assert.deepEqual(marks("See [2] and [13] and [0001] and [x]."), [])
  assert.equal(markdown.render("[1]", {}), "<p>[1]</p>\n")
})

test("code, formulas and links keep their brackets", () => {
  assert.deepEqual(marks("`a[1]` \\(x[1]\\)\n\n```\na[1]\n```\n\n    a[1]\n"), [])
  assert.deepEqual(marks("[1](https://example.org) and [see [1]](https://example.org)"), [])
})

test("a mark holds in tables, lists and emphasis", () => {
  assert.deepEqual(marks("| a | b |\n|---|---|\n| x [1] | **y [3]** |\n\n- z [12]"), ["1 as 1", "3 as 2", "12 as 3"])
})

test("half a mark at the end of growing text waits", () => {
  for (const half of ["[", "[1", "[12"]) assert.equal(withoutHalfMark(`deep ${half}`), "deep ")
  for (const whole of ["deep [1]", "deep [a", "deep [1234", "1"]) assert.equal(withoutHalfMark(whole), whole)
})

test("numbers that were given out in a draft are not given out in the text", () => {
  const settled = new MarkNumbers()
  settled.use(3)
  const draft = settled.copy()
  draft.use(12)
  assert.deepEqual([draft.shown(12), settled.shown(12), settled.use(1)], [2, null, 2])
})
