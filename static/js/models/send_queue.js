// Questions on their way: kept in storage until `accepted`, sent in order, sent again with the same client_id.
// A second question waits until the first is accepted, because its parent is the first one's reply; one whose files are
// not all up is held until they are. Knows no DOM.

export class SendQueue {
  #storage
  #prefix
  #socket
  #onChange
  #records = []
  #requests = new Map() // client_id -> {frame, resolve, reject}: what is not worth keeping over a reload
  #inFlight = new Set()

  constructor({ storage, person, socket, onChange }) {
    this.#storage = storage
    this.#prefix = `sonde:unsent:${person}:`
    this.#socket = socket
    this.#onChange = onChange
    this.#records = this.#stored()
    socket.on("state", (state) => this.#stateChanged(state))
    socket.on("frame", (frame) => this.#received(frame))
  }

  records(conversation) {
    return this.#records.filter((record) => record.frame.conversation === conversation)
  }

  // A question. Its state is "waiting", then gone (accepted) or "failed" with words for people.
  // `follows` names an unsent question whose reply is to be the parent; `files` are records of a FileSet,
  // `collections` {id, name} of those that it asks.
  push(fields, follows = null, { files = [], collections = [], isHeld = false } = {}) {
    const frame = { type: "send_message", client_id: crypto.randomUUID(), ...fields }
    const record = { frame, follows, files, collections, isHeld, state: "waiting", error: "", at: Date.now() }
    this.#records.push(record)
    this.#save(record)
    this.#onChange({ kind: "queued", record })
    this.#pump()
    return record
  }

  retry(clientId) {
    const record = this.#find(clientId)
    Object.assign(record, { state: "waiting", error: "" })
    this.#save(record)
    this.#onChange({ kind: "changed", record })
    this.#pump()
  }

  // How far the files of a held question are, for the page after a reload.
  keepFiles(clientId, files) {
    const record = this.#find(clientId)
    if (!record) return
    record.files = files
    this.#save(record)
  }

  // All files of a held question are up: now it may go.
  release(clientId, uploads) {
    const record = this.#find(clientId)
    if (!record?.isHeld) return
    Object.assign(record, { isHeld: false, state: "waiting", error: "" })
    record.frame.uploads = uploads
    this.#save(record)
    this.#onChange({ kind: "changed", record })
    this.#pump()
  }

  // A held question that cannot go as it stands.
  fail(clientId, words) {
    const record = this.#find(clientId)
    if (!record || record.state === "failed") return
    Object.assign(record, { state: "failed", error: words })
    this.#save(record)
    this.#onChange({ kind: "changed", record })
  }

  // Taken back by the person: who followed it follows what it followed.
  remove(clientId) {
    const record = this.#find(clientId)
    for (const follower of this.#followers(clientId)) {
      follower.follows = record.follows
      follower.frame.parent = record.frame.parent
      this.#save(follower)
    }
    this.#forget(record)
  }

  // Regenerate, continue, replay: resolves to the `accepted` frame, rejects with the `error` frame.
  request(frame) {
    const whole = { client_id: crypto.randomUUID(), ...frame }
    return new Promise((resolve, reject) => {
      this.#requests.set(whole.client_id, { frame: whole, resolve, reject })
      this.#socket.send(whole)
    })
  }

  #stateChanged(state) {
    this.#inFlight.clear()
    if (state !== "open") return
    for (const { frame } of this.#requests.values()) this.#socket.send(frame)
    this.#pump()
  }

  #pump() {
    for (const { frame, follows, isHeld, state } of this.#records) {
      if (follows || isHeld || state !== "waiting" || this.#inFlight.has(frame.client_id)) continue
      if (this.#socket.send(frame)) this.#inFlight.add(frame.client_id)
    }
  }

  #received(frame) {
    if (frame.type === "accepted") this.#accepted(frame)
    if (frame.type === "error" && frame.client_id) this.#refused(frame)
  }

  #accepted(frame) {
    this.#requests.get(frame.client_id)?.resolve(frame)
    this.#requests.delete(frame.client_id)
    const record = this.#find(frame.client_id)
    if (!record) return
    this.#moveFollowers(frame.client_id, frame.conversation)
    for (const follower of this.#followers(frame.client_id)) {
      follower.follows = null
      follower.frame.parent = frame.reply
      this.#save(follower)
    }
    this.#onChange({ kind: "accepted", record, accepted: frame })
    this.#forget(record)
  }

  #refused(frame) {
    this.#requests.get(frame.client_id)?.reject(frame)
    this.#requests.delete(frame.client_id)
    const record = this.#find(frame.client_id)
    if (!record) return
    this.#inFlight.delete(frame.client_id)
    Object.assign(record, { state: "failed", error: frame.message, code: frame.code })
    this.#save(record)
    this.#onChange({ kind: "changed", record })
  }

  #forget(record) {
    this.#records = this.#records.filter((other) => other !== record)
    this.#inFlight.delete(record.frame.client_id)
    this.#storage.removeItem(this.#prefix + record.frame.client_id)
    this.#pump()
  }

  // The whole row behind a question goes on in its conversation, also those who wait for one that is not accepted yet.
  #moveFollowers(clientId, conversation) {
    for (const follower of this.#followers(clientId)) {
      follower.frame.conversation = conversation
      this.#save(follower)
      this.#moveFollowers(follower.frame.client_id, conversation)
    }
  }

  #followers(clientId) {
    return this.#records.filter((record) => record.follows === clientId)
  }

  #find(clientId) {
    return this.#records.find((record) => record.frame.client_id === clientId)
  }

  // One key a record: two tabs must not overwrite each other's list.
  #stored() {
    const keys = Object.keys(this.#storage).filter((key) => key.startsWith(this.#prefix))
    return keys.map((key) => JSON.parse(this.#storage.getItem(key))).sort((a, b) => a.at - b.at)
  }

  // A full storage only loses the safety net over a reload; the record still lives in this tab.
  #save(record) {
    try {
      this.#storage.setItem(this.#prefix + record.frame.client_id, JSON.stringify(record))
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error
    }
  }
}
