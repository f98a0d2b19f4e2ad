// The messages of one conversation as the event log tells them. Knows offsets and order; knows no DOM and no socket.
// Every event may be applied twice. Text only grows while an answer runs; offsets count UTF-16 units, as strings do.

const RANK = { queued: 0, running: 1, finished: 2, failed: 2, cancelled: 2 }
const TITLE = "title_changed"

export const isEnded = (status) => RANK[status] === 2
export const isOpen = (status) => status === "queued" || status === "running"

export class ConversationStream {
  #messages = new Map()

  constructor(conversation, position = null) {
    this.conversation = conversation
    this.position = position
  }

  get(id) {
    return this.#messages.get(id)
  }

  has(id) {
    return this.#messages.has(id)
  }

  // What the page already shows. Keeps the longer text where an answer is still being written.
  hold(id, fields) {
    const known = this.#messages.get(id)
    if (!known) {
      this.#messages.set(id, { id, role: "assistant", parent: null, text: "", reasoning: "", answer: null, status: null, ...fields })
    } else if (isStale(known, fields)) {
      known.parent = fields.parent ?? known.parent
    } else {
      const { text, reasoning } = known
      Object.assign(known, fields)
      known.text = merge(text, fields.text, fields.status)
      known.reasoning = merge(reasoning, fields.reasoning, fields.status)
    }
    return this.#messages.get(id)
  }

  // Applies one event frame. Returns {kind, message?} saying what changed, {kind: "gap"} when text is missing, or null.
  apply({ id, event }) {
    const change = event.kind === TITLE ? { kind: "title", title: event.title } : this.#applyToMessage(event)
    if (change?.kind !== "gap") this.position = id
    return change
  }

  applySnapshot(snapshot) {
    this.position = snapshot.position
    for (const { id, parent, role, text, reasoning, answer } of snapshot.messages) {
      this.hold(id, {
        parent, role, text, reasoning: reasoning ?? "",
        answer: answer?.id ?? null, status: answer?.status ?? null,
        errorCode: answer?.error_code ?? "", finishReason: answer?.finish_reason ?? "",
      })
    }
    return { kind: "snapshot", title: snapshot.title, ids: snapshot.messages.map((message) => message.id) }
  }

  #applyToMessage(event) {
    if (event.kind === "message_added") return this.#add(event)
    const message = this.#messages.get(event.message)
    if (!message || !this.#concerns(message, event)) return null
    switch (event.kind) {
      case "answer_queued": return this.#advance(message, event, "queued")
      case "answer_started": return this.#start(message, event)
      case "delta": return this.#extend(message, event)
      case "notice": return { kind: "notice", message, code: event.code, params: event.params }
      case "answer_ended": return this.#end(message, event)
      case "answer_checked": return { kind: "checked", message }
      default: return null
    }
  }

  #add({ message: id, parent, role, answer }) {
    if (this.has(id)) return null
    const message = this.hold(id, { parent, role, answer: answer ?? null, status: answer ? "queued" : null })
    return { kind: "added", message }
  }

  // An event of another answer is an older one's echo while the held one is open: a message has one open answer.
  #concerns(message, event) {
    return event.answer === message.answer || !isOpen(message.status)
  }

  #advance(message, event, status) {
    if (event.answer === message.answer && RANK[status] <= RANK[message.status]) return null
    Object.assign(message, { answer: event.answer, status, errorCode: "", finishReason: "" })
    return { kind: "status", message }
  }

  #start(message, event) {
    const gap = event.at_text > message.text.length || event.at_reasoning > message.reasoning.length
    return gap ? { kind: "gap" } : this.#advance(message, event, "running")
  }

  #extend(message, { part, at, text }) {
    const held = message[part]
    if (at > held.length) return { kind: "gap" }
    const fresh = text.slice(held.length - at)
    if (!fresh) return null
    message[part] = held + fresh
    return { kind: part, message }
  }

  #end(message, event) {
    if (event.length_text > message.text.length || event.length_reasoning > message.reasoning.length) return { kind: "gap" }
    if (event.answer === message.answer && isEnded(message.status)) return null
    const { answer, status, error_code: errorCode, finish_reason: finishReason } = event
    Object.assign(message, { answer, status, errorCode, finishReason })
    return { kind: "ended", message }
  }
}

// Rows read before events that are already applied here must not take the message back in time.
function isStale(known, fields) {
  return fields.answer != null && fields.answer === known.answer && RANK[fields.status] < RANK[known.status]
}

function merge(held, fresh, status) {
  if (fresh === undefined) return held
  return isOpen(status) && held.startsWith(fresh) ? held : fresh
}
