// The files of a draft or of an unsent question: on their way up, and what the server says of them afterwards.
// Knows no DOM and no HTTP: bytes travel by the transfers that it is given, states come in by `applyStates`.
//
//   waiting -> uploading <-> interrupted -> queued -> parsing -> ready | partly | failed | cancelled
//   refused: the server, or a limit, does not take it      missing: the page was loaded anew, its bytes are gone

export const MOVING = new Set(["queued", "parsing"]) // at the server, and on to something else
const UNFIT = new Set(["refused", "cancelled"])
const UNFINISHED = new Set(["waiting", "uploading", "interrupted", "missing"])
const NUM_AT_ONCE = 3 // transfers; more would only share the same line
const STORED = ["key", "id", "name", "size", "type", "modified", "sent", "state", "unit", "total", "done", "unreadable", "reason", "isText", "isKept"]

export class FileSet {
  #items = []
  #transfer
  #limits
  #server
  #listeners = []

  // `transfer({file, id, onId, onProgress, onInterrupted, onDone, onRefused})` gives {start, stop, retryNow};
  // `server` has `remove(id)` and `retry(id)`; `limits`: {maxBytes, maxFiles, words(code)}.
  constructor({ transfer, server, limits }, records = []) {
    this.#transfer = transfer
    this.#server = server
    this.#limits = limits
    this.#items = records.map((record) => this.#restored(record))
  }

  on(listener) {
    this.#listeners.push(listener)
  }

  get items() {
    return this.#items
  }

  get isEmpty() {
    return this.#items.length === 0
  }

  // Every byte is at the server: a question may name these files.
  get isUp() {
    return this.#items.every(({ id, state }) => id && !UNFINISHED.has(state) && !UNFIT.has(state))
  }

  get isSending() {
    return this.#items.some(({ state }) => state === "waiting" || state === "uploading" || state === "interrupted")
  }

  // What no question may name, and must be removed first.
  get unfit() {
    return this.#items.find(({ state }) => UNFIT.has(state)) ?? null
  }

  get ids() {
    return this.#items.map(({ id }) => id).filter(Boolean)
  }

  // Which uploads are worth asking the server about.
  get movingIds() {
    return this.#items.filter(({ id, state }) => id && MOVING.has(state)).map(({ id }) => id)
  }

  find(key) {
    return this.#items.find((item) => item.key === key)
  }

  // What a reload may know. What was refused is not worth remembering.
  records() {
    const kept = this.#items.filter(({ state }) => state !== "refused")
    return kept.map((item) => Object.fromEntries(STORED.map((field) => [field, item[field]])))
  }

  // New files, or the same file chosen again for one whose bytes are gone. `isText`: pasted, and can become text again.
  add(files, { isText = false } = {}) {
    for (const file of files) {
      const missing = this.#items.find((item) => item.state === "missing" && item.name === file.name && item.size === file.size)
      if (missing) this.#provide(missing, file)
      else this.#items.push(this.#checked(this.#fresh(file, isText)))
    }
    this.#pump()
    this.#tell()
  }

  // Files that are at the server already and shall stay there: `states` as GET /files/states gives them.
  reuse(states) {
    const known = new Set(this.ids)
    for (const state of states.filter(({ id }) => !known.has(id))) {
      const item = this.#fresh({ name: state.name, size: state.size_bytes, type: state.media_type, lastModified: 0 }, false)
      Object.assign(item, { id: state.id, file: null, isKept: true })
      applyState(item, state)
      this.#items.push(item)
    }
    this.#tell()
  }

  // The bytes for one file after a reload. False when it is visibly another file.
  provide(key, file) {
    const item = this.find(key)
    if (file.name !== item.name || file.size !== item.size) return false
    this.#provide(item, file)
    this.#pump()
    this.#tell()
    return true
  }

  remove(key) {
    const item = this.find(key)
    item.transfer?.stop()
    this.#items = this.#items.filter((other) => other !== item)
    if (item.id && !item.isKept) this.#server.remove(item.id)
    this.#pump()
    this.#tell()
  }

  retry(key) {
    const item = this.find(key)
    if (item.state === "interrupted") item.transfer.retryNow()
    else if (item.state === "refused" && item.file) this.#again(item)
    else if (item.id) this.#readAgain(item)
  }

  // The network is back.
  retryNow() {
    for (const item of this.#items) if (item.state === "interrupted") item.transfer.retryNow()
  }

  // Takes over the files of another set, with their running transfers.
  adopt(other) {
    for (const item of other.#items) item.owner = this
    this.#items.unshift(...other.#items)
    other.#items = []
    this.#pump()
    this.#tell()
  }

  // What GET /files/states says. Returns whether anything is different from before.
  applyStates(states) {
    const known = new Map(states.map((state) => [state.id, state]))
    let isChanged = false
    for (const item of this.#items) {
      const state = known.get(item.id)
      if (state && !item.transfer) isChanged = applyState(item, state) || isChanged
    }
    if (isChanged) this.#tell()
    return isChanged
  }

  // Uploads that the server no longer has: removed in another tab, or long ago.
  forget(ids) {
    const gone = new Set(ids)
    this.#items = this.#items.filter(({ id, transfer }) => transfer || !gone.has(id))
    this.#tell()
  }

  #fresh(file, isText) {
    const { name, size, type, lastModified } = file
    return {
      owner: this, key: crypto.randomUUID(), id: null, file, transfer: null, isText, isKept: false, name, size, type, modified: lastModified, sent: 0,
      state: "waiting", unit: "", total: 0, done: 0, unreadable: [], reason: "",
    }
  }

  #restored(record) {
    const isGone = UNFINISHED.has(record.state)
    return { ...record, owner: this, file: null, transfer: null, state: isGone ? "missing" : record.state }
  }

  #checked(item) {
    const { maxBytes, maxFiles, words } = this.#limits
    const count = this.#items.filter(({ state }) => state !== "refused").length
    const code = item.size === 0 ? "empty" : item.size > maxBytes ? "too_large" : count >= maxFiles ? "too_many" : null
    return code ? Object.assign(item, { state: "refused", reason: words(code) }) : item
  }

  #provide(item, file) {
    Object.assign(item, { file, state: "waiting" })
  }

  #again(item) {
    Object.assign(item, { state: "waiting", reason: "" })
    this.#pump()
    this.#tell()
  }

  async #readAgain(item) {
    const before = item.state
    item.state = "queued"
    item.owner.#tell()
    if (await this.#server.retry(item.id)) return
    item.state = before
    item.owner.#tell()
  }

  #pump() {
    const running = this.#items.filter(({ transfer }) => transfer).length
    const next = this.#items.filter(({ state }) => state === "waiting").slice(0, Math.max(0, NUM_AT_ONCE - running))
    for (const item of next) this.#begin(item)
  }

  #begin(item) {
    const change = (fields) => {
      if (!item.transfer) return
      Object.assign(item, fields)
      if (fields.transfer === null) item.owner.#pump()
      item.owner.#tell()
    }
    item.state = "uploading"
    item.transfer = this.#transfer({
      file: item.file, id: item.id,
      onId: (id) => change({ id }),
      onProgress: (sent) => change({ sent, state: "uploading" }),
      onInterrupted: () => change({ state: "interrupted" }),
      onDone: () => change({ sent: item.size, state: "queued", transfer: null, file: item.isText ? item.file : null }),
      onRefused: (reason) => change({ state: "refused", reason, transfer: null }),
    })
    item.transfer.start()
  }

  #tell() {
    for (const listener of this.#listeners) listener(this)
  }
}

// An upload that the server still waits for, and nobody here sends, has lost its bytes with an earlier page.
function applyState(item, { size_bytes: size, offset: sent, media_type: type, state, unit, total, done, unreadable, reason }) {
  const next = {
    size, sent, state: state === "uploading" ? "missing" : state, unit: unit ?? "", total: total ?? 0, done: done ?? 0,
    unreadable: unreadable ?? [], reason: reason ?? "", type: type || item.type,
  }
  const isChanged = Object.entries(next).some(([field, value]) => JSON.stringify(item[field]) !== JSON.stringify(value))
  return isChanged && Boolean(Object.assign(item, next))
}
