import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

const css = readFileSync(new URL("../../static/css/tokens.css", import.meta.url), "utf8")
const [light, dark, system] = css.match(/\{[^{}]*--paper[^{}]*\}/g).map(readTokens)

const READ = [
  ["ink", "paper"], ["ink", "surface"], ["ink", "sunken"], ["ink", "bubble"], ["ink", "hover"],
  ["ink-soft", "paper"], ["ink-soft", "surface"], ["ink-soft", "sunken"], ["ink-soft", "hover"],
  ["accent", "paper"], ["accent", "bubble"], ["accent-strong", "accent-soft"], ["on-accent", "accent"], ["on-accent", "accent-strong"],
  ["warning", "warning-soft"], ["danger", "danger-soft"], ["ink", "danger-soft"], ["ink-soft", "danger-soft"], ["danger", "surface"],
  ...["comment", "keyword", "string", "number", "name"].map((name) => [`code-${name}`, "sunken"]),
]

function readTokens(block) {
  return Object.fromEntries([...block.matchAll(/--([\w-]+):\s*([^;]+);/g)].map(([, name, value]) => [name, value]))
}

function colour(tokens, name) {
  const value = tokens[name] ?? light[name]
  const alias = /var\(--([\w-]+)\)/.exec(value)?.[1]
  return alias ? colour(tokens, alias) : value
}

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

for (const [scheme, tokens] of Object.entries({ light, dark })) {
  test(`text can be read in the ${scheme} scheme (WCAG AA, 4.5 : 1)`, () => {
    for (const [text, ground] of READ) {
      const ratio = contrast(colour(tokens, text), colour(tokens, ground))
      assert.ok(ratio >= 4.5, `${text} on ${ground} is ${ratio.toFixed(2)} : 1`)
    }
  })
}

test("the dark scheme by choice and the one by the system are the same", () => assert.deepEqual(system, dark))
