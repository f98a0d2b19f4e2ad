import assert from "node:assert/strict"
import { test } from "node:test"

import { FileSet } from "../../static/js/models/file_set.js"

const fileOf = (name, size = 100) => ({ name, size, type: "text/plain", lastModified: 1 })

// A set whose transfers are moved by hand: `sent[0].onDone()`.
function begin({ records = [], maxFiles = 50, willRetry = true } = {}) {
  const sent = []
  const removed = []
  const transfer = (fields) => {
    const one = { ...fields, state: "new", start() { this.state = "started" }, stop() { this.state = "stopped" }, retryNow() { this.state = "again" } }
    sent.push(one)
    return one
  }
  const server = { remove: (id) => removed.push(id), retry: async () => willRetry }
  const limits = { maxBytes: 1000, maxFiles, words: (code) => code }
  return { set: new FileSet({ transfer, server, limits }, records), sent, removed }
}

const stateOf = (id, fields) => ({ id, name: "a", size_bytes: 100, offset: 100, media_type: "text/plain", unit: "page", total: 0, done: 0, unreadable: [], reason: "", ...fields })

test("a file goes up, is read, and is ready", () => {
  const { set, sent } = begin()
  set.add([fileOf("a.pdf")])
  sent[0].onId("u1")
  sent[0].onProgress(40)
  assert.deepEqual(set.items.map(({ state, sent }) => [state, sent]), [["uploading", 40]])
  assert.equal(set.isUp, false)
  sent[0].onDone()
  assert.equal(set.isUp, true)
  assert.deepEqual(set.movingIds, ["u1"])
  assert.equal(set.applyStates([stateOf("u1", { state: "parsing", done: 3, total: 9 })]), true)
  assert.equal(set.applyStates([stateOf("u1", { state: "parsing", done: 3, total: 9 })]), false)
  set.applyStates([stateOf("u1", { state: "ready", done: 9, total: 9 })])
  assert.deepEqual([set.items[0].state, set.movingIds, set.ids], ["ready", [], ["u1"]])
})

test("three go up at once and the others wait for their turn", () => {
  const { set, sent } = begin()
  set.add(["a", "b", "c", "d", "e"].map((name) => fileOf(name)))
  assert.equal(sent.length, 3)
  sent[1].onId("u2")
  sent[1].onDone()
  assert.equal(sent.length, 4)
  assert.equal(sent[3].file.name, "d")
})

test("removing stops the transfer, tells the server, and lets the next begin", () => {
  const { set, sent, removed } = begin()
  set.add(["a", "b", "c", "d"].map((name) => fileOf(name)))
  sent[0].onId("u1")
  set.remove(set.items[0].key)
  assert.deepEqual([sent[0].state, removed, sent[3].file.name], ["stopped", ["u1"], "d"])
  sent[0].onDone()
  assert.equal(set.items.length, 3)
})

test("what is too large, empty or too many is refused at once and never sent", () => {
  const { set, sent } = begin({ maxFiles: 2 })
  set.add([fileOf("big", 1001), fileOf("nothing", 0), fileOf("a"), fileOf("b"), fileOf("c")])
  assert.deepEqual(set.items.map(({ reason }) => reason), ["too_large", "empty", "", "", "too_many"])
  assert.equal(sent.length, 2)
  assert.equal(set.isUp, false)
  assert.equal(set.unfit.name, "big")
})

test("after a reload the bytes are gone, and the same file goes on with the same upload", () => {
  const first = begin()
  first.set.add([fileOf("a.pdf"), fileOf("b.pdf")])
  first.sent[0].onId("u1")
  first.sent[0].onProgress(60)
  first.sent[1].onId("u2")
  first.sent[1].onDone()
  const stored = JSON.parse(JSON.stringify(first.set.records()))
  const { set, sent } = begin({ records: stored })
  assert.deepEqual(set.items.map(({ state, sent }) => [state, sent]), [["missing", 60], ["queued", 100]])
  assert.equal(set.provide(set.items[0].key, fileOf("a.pdf", 99)), false)
  assert.equal(set.provide(set.items[0].key, fileOf("a.pdf")), true)
  assert.deepEqual([sent.length, sent[0].id], [1, "u1"])
})

test("the same file dropped again is taken for the one whose bytes are missing", () => {
  const { set, sent } = begin({ records: [{ key: "k", id: "u1", name: "a.pdf", size: 100, sent: 5, state: "uploading", unreadable: [] }] })
  set.add([fileOf("a.pdf"), fileOf("new.pdf")])
  assert.deepEqual(set.items.map(({ name }) => name), ["a.pdf", "new.pdf"])
  assert.deepEqual(sent.map(({ id }) => id), ["u1", null])
})

test("an upload that ended in another tab is no longer asked for", () => {
  const { set } = begin({ records: [{ key: "k", id: "u1", name: "a", size: 100, sent: 5, state: "uploading", unreadable: [] }] })
  set.applyStates([stateOf("u1", { state: "ready", total: 2, done: 2 })])
  assert.equal(set.items[0].state, "ready")
  set.forget(["u1"])
  assert.equal(set.isEmpty, true)
})

test("the states of the server do not disturb a transfer that runs here", () => {
  const { set, sent } = begin()
  set.add([fileOf("a")])
  sent[0].onId("u1")
  sent[0].onProgress(50)
  set.applyStates([stateOf("u1", { state: "uploading", offset: 0 })])
  assert.deepEqual([set.items[0].state, set.items[0].sent], ["uploading", 50])
})

test("a lost connection is waited out, and the network's return begins at once", () => {
  const { set, sent } = begin()
  set.add([fileOf("a")])
  sent[0].onInterrupted()
  assert.equal(set.items[0].state, "interrupted")
  set.retryNow()
  assert.equal(sent[0].state, "again")
  sent[0].onProgress(10)
  assert.equal(set.items[0].state, "uploading")
})

test("a running transfer goes on in the set that took it over", () => {
  const { set: question, sent } = begin()
  const { set: draft } = begin()
  question.add([fileOf("a")])
  draft.adopt(question)
  let told = 0
  draft.on(() => { told += 1 })
  sent[0].onId("u1")
  sent[0].onDone()
  assert.deepEqual([question.isEmpty, draft.ids, draft.isUp, told], [true, ["u1"], true, 2])
})

test("reading is tried again, and stays failed where the server does not want to", async () => {
  const record = { key: "k", id: "u1", name: "a", size: 100, sent: 100, state: "failed", reason: "broken", unreadable: [] }
  const willing = begin({ records: [record] })
  willing.set.retry("k")
  assert.equal(willing.set.items[0].state, "queued")
  const unwilling = begin({ records: [{ ...record }], willRetry: false })
  unwilling.set.retry("k")
  await new Promise(setImmediate)
  assert.equal(unwilling.set.items[0].state, "failed")
})

test("a file that is used again is not uploaded, and not deleted when it is left out", () => {
  const { set, sent, removed } = begin()
  set.reuse([stateOf("u1", { state: "ready", name: "old.pdf" })])
  set.reuse([stateOf("u1", { state: "ready" })])
  assert.deepEqual([set.ids, set.isUp, sent.length], [["u1"], true, 0])
  set.remove(set.items[0].key)
  assert.deepEqual([removed, set.isEmpty], [[], true])
})

test("a file that was cancelled elsewhere holds the question back until it is removed", () => {
  const { set, sent } = begin()
  set.add([fileOf("a")])
  sent[0].onId("u1")
  sent[0].onDone()
  set.applyStates([stateOf("u1", { state: "cancelled" })])
  assert.deepEqual([set.isUp, set.unfit.name], [false, "a"])
  set.remove(set.items[0].key)
  assert.deepEqual([set.isUp, set.unfit], [true, null])
})

test("what was refused is not remembered over a reload", () => {
  const { set, sent } = begin()
  set.add([fileOf("a"), fileOf("b")])
  sent[0].onRefused("no such type")
  assert.deepEqual(set.records().map(({ name }) => name), ["b"])
})
