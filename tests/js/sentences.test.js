import assert from "node:assert/strict"
import { test } from "node:test"

import { locate, rawWords, wordsOf } from "../../static/js/models/sentences.js"

const words = (text) => wordsOf(text).map(({ word }) => word)
const found = (shown, sentence, start) => {
  const place = locate(words(shown), rawWords(sentence), start)
  return place && words(shown).slice(place.from, place.to).join(" ")
}

test("a sentence is found although its Markdown is drawn", () => {
  assert.equal(found("First. The line is 200 fathoms long, they say. Last.", "The **line** is `200` fathoms [long](https://x.org/y), they say [1][2]."), "The line is 200 fathoms long they say")
})

test("a formula does not hide it, wherever it stands", () => {
  assert.equal(found("The pressure with depth. Next.", "The pressure \\(p = \\rho g h\\) with depth."), "The pressure with depth")
  assert.equal(found("First. Grows without end. Next.", "\\[ p \\] Grows without end $$x^2$$."), "Grows without end")
})

test("the middle may be shown in another way", () => {
  assert.equal(found("They said so on Monday morning at the shop of colours and not later on that day.", "They said so on Monday ~evening~ at &quot;shop&quot; of colours and not later on that day."), "They said so on Monday morning at the shop of colours and not later on that day")
})

test("of two equal sentences the later one is meant after the first", () => {
  const shown = "It is deep. It is deep. End."
  const first = locate(words(shown), rawWords("It is deep."))
  const second = locate(words(shown), rawWords("It is deep."), first.to)
  assert.deepEqual([first.from, second.from], [0, 3])
})

test("Chinese is compared sign by sign", () => {
  assert.equal(found("海很深。绳子长二百寻。完", "绳子长**二百**寻[1]。"), "绳 子 长 二 百 寻")
})

test("what is not shown is not found", () => {
  assert.equal(found("Something else entirely.", "The line is long."), null)
  assert.equal(found("Something else.", "[1]"), null)
})
