import assert from "node:assert/strict"
import { test } from "node:test"

import { ConversationStream } from "../../static/js/models/conversation_stream.js"

const frame = (seq, event) => ({ conversation: "c", id: `e-${seq}`, event })
const delta = (seq, at, text, part = "text") => frame(seq, { kind: "delta", answer: "a", message: "m", part, at, text })
const started = (seq, answer = "a") => frame(seq, { kind: "answer_started", answer, message: "m", at_text: 0, at_reasoning: 0 })
const ended = (seq, length, answer = "a") => frame(seq, { kind: "answer_ended", answer, message: "m", status: "finished", error_code: "", finish_reason: "stop", length_text: length, length_reasoning: 0 })

function running() {
  const stream = new ConversationStream("c", "e-0")
  stream.hold("m", { answer: "a", status: "running" })
  return stream
}

test("deltas add up and the position follows", () => {
  const stream = running()
  stream.apply(delta(1, 0, "sea "))
  stream.apply(delta(2, 4, "bed"))
  assert.equal(stream.get("m").text, "sea bed")
  assert.equal(stream.position, "e-2")
})

test("every event may come twice, also a whole answer", () => {
  const stream = running()
  const events = [started(1), delta(2, 0, "so"), delta(3, 2, "und"), delta(4, 0, "think", "reasoning"), ended(5, 5)]
  for (const event of [...events, ...events]) stream.apply(event)
  assert.deepEqual({ ...stream.get("m"), errorCode: undefined }, {
    id: "m", role: "assistant", parent: null, text: "sound", reasoning: "think", answer: "a", status: "finished", finishReason: "stop", errorCode: undefined,
  })
})

test("an overlap counts only with what is new", () => {
  const stream = running()
  stream.apply(delta(1, 0, "abc"))
  stream.apply(delta(2, 1, "bcde"))
  assert.equal(stream.get("m").text, "abcde")
})

test("offsets count UTF-16 units", () => {
  const stream = running()
  stream.apply(delta(1, 0, "🌊"))
  stream.apply(delta(2, 2, "深"))
  assert.equal(stream.get("m").text, "🌊深")
})

test("a delta beyond the end is a gap and does not move the position", () => {
  const stream = running()
  assert.deepEqual(stream.apply(delta(7, 10, "x")), { kind: "gap" })
  assert.equal(stream.position, "e-0")
})

test("an end that names more text than is held is a gap", () => {
  const stream = running()
  stream.apply(delta(1, 0, "ab"))
  assert.deepEqual(stream.apply(ended(2, 9)), { kind: "gap" })
})

test("a snapshot never takes running text back, and replaces what is not its beginning", () => {
  const stream = running()
  stream.apply(delta(5, 0, "deep water"))
  const snapshot = (text) => ({ position: "f-3", title: "", messages: [{ id: "m", parent: null, role: "assistant", text, reasoning: "", answer: { id: "a", status: "running", error_code: "", finish_reason: "" } }] })
  stream.applySnapshot(snapshot("deep"))
  assert.equal(stream.get("m").text, "deep water")
  stream.applySnapshot(snapshot("other text"))
  assert.equal(stream.get("m").text, "other text")
  assert.equal(stream.position, "f-3")
})

test("old rows do not reopen an answer that has ended here", () => {
  const stream = running()
  stream.apply(delta(1, 0, "done"))
  stream.apply(ended(2, 4))
  stream.hold("m", { answer: "a", status: "running", text: "do", reasoning: "" })
  assert.equal(stream.get("m").status, "finished")
  assert.equal(stream.get("m").text, "done")
})

test("an older attempt's echo does not disturb the one that runs", () => {
  const stream = running()
  stream.apply(ended(1, 0, "older"))
  assert.equal(stream.get("m").status, "running")
  assert.equal(stream.get("m").answer, "a")
})

test("continue: a second answer goes on from the text", () => {
  const stream = running()
  stream.apply(delta(1, 0, "one "))
  stream.apply(ended(2, 4))
  stream.apply(frame(3, { kind: "answer_queued", answer: "b", message: "m" }))
  stream.apply(frame(4, { kind: "answer_started", answer: "b", message: "m", at_text: 4, at_reasoning: 0 }))
  stream.apply(frame(5, { kind: "delta", answer: "b", message: "m", part: "text", at: 4, text: "two" }))
  assert.equal(stream.get("m").text, "one two")
  assert.equal(stream.get("m").status, "running")
})

test("a checked answer is told, and one that runs is not disturbed by an older one's check", () => {
  const stream = running()
  assert.equal(stream.apply(frame(1, { kind: "answer_checked", answer: "older", message: "m" })), null)
  stream.apply(ended(2, 0))
  assert.equal(stream.apply(frame(3, { kind: "answer_checked", answer: "a", message: "m" })).kind, "checked")
  assert.equal(stream.position, "e-3")
})

test("deltas of a message that is not shown are nobody's gap", () => {
  assert.equal(new ConversationStream("c").apply(delta(1, 50, "x")), null)
})
