import assert from "node:assert/strict"
import { test } from "node:test"

import { Drafts, forget } from "../../static/js/models/drafts.js"
import { storageOf } from "./storage.js"

test("a draft belongs to a person and a conversation", () => {
  const storage = storageOf()
  new Drafts(storage, "ana").write("c1", "half a thought")
  assert.equal(new Drafts(storage, "ana").read("c1"), "half a thought")
  assert.equal(new Drafts(storage, "ana").read(null), "")
  assert.equal(new Drafts(storage, "ben").read("c1"), "")
})

test("an empty draft leaves nothing behind", () => {
  const storage = storageOf()
  const drafts = new Drafts(storage, "ana")
  drafts.write(null, "x")
  drafts.write(null, "")
  assert.equal(storage.length, 0)
})

test("a full storage is told, not thrown", () => {
  assert.equal(new Drafts(storageOf(3), "ana").write(null, "too long"), false)
})

test("files stay with the draft of their conversation", () => {
  const storage = storageOf()
  const drafts = new Drafts(storage, "ana")
  drafts.writeFiles("c1", [{ id: "u1", name: "contract.pdf" }])
  assert.deepEqual(drafts.readFiles("c1"), [{ id: "u1", name: "contract.pdf" }])
  assert.deepEqual(drafts.readFiles(null), [])
  assert.equal(drafts.read("c1"), "")
  drafts.writeFiles("c1", [])
  assert.equal(storage.length, 0)
})

test("signing out forgets one person's texts and nobody else's", () => {
  const storage = storageOf()
  new Drafts(storage, "ana").write("c1", "secret")
  new Drafts(storage, "ana").writeFiles("c1", [{ id: "u1", name: "salaries.pdf" }])
  new Drafts(storage, "ben").write("c1", "his own")
  storage.setItem("sonde:unsent:ana:1", "{}")
  storage.setItem("sonde:folded", "true")
  forget(storage, "ana")
  assert.deepEqual(Object.keys(storage).sort(), ["sonde:draft:ben:c1", "sonde:folded"])
})
