// Finds a sentence of an answer's raw text again in what the page shows: by its words, since signs of Markdown are not
// shown, and marks and formulas are drawn differently: their words do not count. Knows no DOM.

const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}]+/gu // Chinese and Japanese: each sign
const NOT_SHOWN = /\[\d{1,3}\]|\]\([^)\s]*\)|\\\(.*?\\\)|\\\[.*?\\\]|\$\$.*?\$\$/gs // marks, where links lead, formulas
const EDGE = 4 // words that must agree at either end; the middle may be shown in another way

// [{word, at}], `at` as an offset into `text`.
export function wordsOf(text) {
  return [...text.matchAll(WORD)].map((match) => ({ word: match[0], at: match.index }))
}

// The words of a raw sentence, as they would be shown.
export function rawWords(text) {
  return wordsOf(text.replace(NOT_SHOWN, " ")).map(({ word }) => word)
}

// {from, to}: the words of `shown` that are the sentence, at or after `start`; `to` is not included. Null if not there.
export function locate(shown, sentence, start = 0) {
  const edge = Math.min(EDGE, sentence.length)
  if (!edge) return null
  const from = seek(shown, sentence.slice(0, edge), start, shown.length)
  if (from < 0) return null
  const last = seek(shown, sentence.slice(-edge), from, from + 2 * sentence.length)
  return last < 0 ? null : { from, to: last + edge }
}

function seek(shown, words, start, end) {
  for (let at = start; at + words.length <= Math.min(shown.length, end); at++) {
    if (words.every((word, index) => shown[at + index] === word)) return at
  }
  return -1
}
