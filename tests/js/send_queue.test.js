import assert from "node:assert/strict"
import { test } from "node:test"

import { SendQueue } from "../../static/js/models/send_queue.js"
import { storageOf } from "./storage.js"

// A socket as the queue knows it, with its other end in the test's hand.
class Line {
  sent = []
  isOpen = true
  #listeners = { state: [], frame: [] }

  on(name, listener) { this.#listeners[name].push(listener) }
  send(frame) { if (this.isOpen) this.sent.push({ ...frame }); return this.isOpen }
  state(state) { this.isOpen = state === "open"; this.#listeners.state.forEach((listener) => listener(state)) }
  receive(frame) { this.#listeners.frame.forEach((listener) => listener(frame)) }
}

function setUp(storage = storageOf()) {
  const line = new Line()
  const changes = []
  const queue = new SendQueue({ storage, person: "p", socket: line, onChange: (change) => changes.push(change.kind) })
  return { line, changes, queue, storage }
}

const ask = (text) => ({ conversation: null, parent: null, text })

test("a question is kept until it is accepted", () => {
  const { line, queue, storage } = setUp()
  const { frame } = queue.push(ask("how deep?"))
  assert.equal(storage.length, 1)
  line.receive({ type: "accepted", client_id: frame.client_id, conversation: "c", reply: "r" })
  assert.equal(storage.length, 0)
})

test("a lost connection sends the same client_id again", () => {
  const { line, queue } = setUp()
  queue.push(ask("how deep?"))
  line.state("waiting")
  line.state("open")
  assert.equal(line.sent.length, 2)
  assert.equal(line.sent[0].client_id, line.sent[1].client_id)
})

test("a reload finds what was not accepted and sends it", () => {
  const { storage, queue } = setUp()
  const { frame } = queue.push(ask("how deep?"))
  const after = setUp(storage)
  after.line.state("open")
  assert.equal(after.line.sent[0].client_id, frame.client_id)
})

test("a follower waits for the first question's reply and hangs below it", () => {
  const { line, queue } = setUp()
  const first = queue.push(ask("one")).frame.client_id
  queue.push(ask("two"), first)
  assert.deepEqual(line.sent.map(({ text }) => text), ["one"])
  line.receive({ type: "accepted", client_id: first, conversation: "c", reply: "r" })
  const { text, parent, conversation } = line.sent[1]
  assert.deepEqual({ text, parent, conversation }, { text: "two", parent: "r", conversation: "c" })
})

test("a row of followers moves into the conversation together", () => {
  const { line, queue } = setUp()
  const first = queue.push(ask("one")).frame.client_id
  const second = queue.push(ask("two"), first).frame.client_id
  queue.push(ask("three"), second)
  line.receive({ type: "accepted", client_id: first, conversation: "c", reply: "r" })
  assert.deepEqual(queue.records("c").map(({ frame }) => frame.text), ["two", "three"])
})

test("a refused question keeps its text and is sent again on request", () => {
  const { line, queue, changes } = setUp()
  const { frame } = queue.push(ask("how deep?"))
  line.receive({ type: "error", client_id: frame.client_id, code: "no_endpoint", message: "No model." })
  assert.equal(queue.records(null)[0].state, "failed")
  queue.retry(frame.client_id)
  assert.equal(line.sent.length, 2)
  assert.deepEqual(changes, ["queued", "changed", "changed"])
})

test("taking a question back lets its follower take its place", () => {
  const { line, queue } = setUp()
  line.isOpen = false
  const first = queue.push({ conversation: "c", parent: "p1", text: "one" }).frame.client_id
  queue.push({ conversation: "c", parent: null, text: "two" }, first)
  queue.remove(first)
  line.state("open")
  assert.deepEqual(line.sent.map(({ text, parent }) => [text, parent]), [["two", "p1"]])
})

test("requests resolve by their client_id, and reject with the error", async () => {
  const { line, queue } = setUp()
  const accepted = queue.request({ type: "regenerate", message: "m" })
  const refused = queue.request({ type: "regenerate", message: "n" })
  line.receive({ type: "accepted", client_id: line.sent[0].client_id, answer: "a" })
  line.receive({ type: "error", client_id: line.sent[1].client_id, code: "not_found", message: "Gone." })
  assert.equal((await accepted).answer, "a")
  await assert.rejects(refused, { code: "not_found" })
})

test("two tabs keep their own records", () => {
  const storage = storageOf()
  const [one, two] = [setUp(storage), setUp(storage)]
  one.queue.push(ask("one"))
  two.queue.push(ask("two"))
  assert.equal(setUp(storage).queue.records(null).length, 2)
})

test("a question whose files are not up is held, also over a reload, and goes with their ids", () => {
  const { queue, storage } = setUp()
  const id = queue.push(ask("what does it say?"), null, { files: [{ name: "a.pdf", sent: 1 }], isHeld: true }).frame.client_id
  queue.keepFiles(id, [{ name: "a.pdf", sent: 2 }])
  const after = setUp(storage)
  after.line.state("open")
  assert.deepEqual(after.line.sent, [])
  assert.deepEqual(after.queue.records(null)[0].files, [{ name: "a.pdf", sent: 2 }])
  after.queue.release(id, ["u1"])
  assert.deepEqual(after.line.sent.map(({ text, uploads }) => [text, uploads]), [["what does it say?", ["u1"]]])
  after.queue.release(id, ["u1"])
  assert.equal(after.line.sent.length, 1)
})

test("a question whose file is refused says why, and is held still", () => {
  const { line, queue, changes } = setUp()
  const { frame: { client_id: id } } = queue.push(ask("what does it say?"), null, { isHeld: true })
  queue.fail(id, "a.exe: no such type")
  queue.fail(id, "a.exe: no such type")
  assert.deepEqual(changes, ["queued", "changed"])
  assert.equal(queue.records(null)[0].error, "a.exe: no such type")
  queue.retry(id)
  assert.deepEqual(line.sent, [])
})
