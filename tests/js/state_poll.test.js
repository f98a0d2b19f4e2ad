import assert from "node:assert/strict"
import { mock, test } from "node:test"

import { StatePoll } from "../../static/js/models/state_poll.js"

const settle = async () => { for (let turn = 0; turn < 5; turn++) await Promise.resolve() }

function begin() {
  mock.timers.enable({ apis: ["setTimeout"] })
  const world = { ids: ["u1"], answer: false, asked: [] }
  world.poll = new StatePoll({ ids: () => world.ids, ask: async (ids) => { world.asked.push(ids); return world.answer } })
  world.wait = async (ms) => { mock.timers.tick(ms); await settle() }
  return world
}

test("asks more and more seldom while nothing changes, and quickly again after a change", async (context) => {
  context.after(() => mock.timers.reset())
  const world = begin()
  world.poll.now()
  await settle()
  assert.equal(world.asked.length, 1)
  await world.wait(700)
  assert.equal(world.asked.length, 1, "it has grown by now")
  await world.wait(280)
  assert.equal(world.asked.length, 2)
  world.answer = true
  await world.wait(1_400)
  assert.equal(world.asked.length, 3)
  await world.wait(700)
  assert.equal(world.asked.length, 4)
})

test("never waits longer than five seconds, whatever fails", async (context) => {
  context.after(() => mock.timers.reset())
  const world = begin()
  world.poll = new StatePoll({ ids: () => world.ids, ask: async (ids) => { world.asked.push(ids); throw new Error("away") } })
  world.poll.now()
  await settle()
  for (let turn = 0; turn < 20; turn++) await world.wait(5_000)
  assert.equal(world.asked.length, 21)
})

test("stops when nothing moves, and starts again when it is woken", async (context) => {
  context.after(() => mock.timers.reset())
  const world = begin()
  world.poll.now()
  await settle()
  world.ids = []
  await world.wait(10_000)
  assert.equal(world.asked.length, 1)
  world.ids = ["u2"]
  world.poll.wake()
  world.poll.wake()
  await world.wait(5_000)
  assert.equal(world.asked.length, 2)
  assert.deepEqual(world.asked[1], ["u2"])
})

test("an upload that ends during a question is asked about right after it", async (context) => {
  context.after(() => mock.timers.reset())
  const world = begin()
  world.poll.now()
  world.poll.now()
  await settle()
  assert.equal(world.asked.length, 2)
})
