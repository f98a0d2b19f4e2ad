// One websocket a tab: reconnects with back-off and subscribes again from the last position. Knows no DOM.
// States: "connecting", "open", "waiting" (for the next try), "refused" (signed out or a foreign origin).

const FIRST_WAIT_MS = 400
const LONGEST_WAIT_MS = 15_000
const PING_MS = 20_000 // below the minute after which proxies cut silent connections
const PONG_LIMIT_MS = 8_000
const SIGNED_OUT = 4401
const FOREIGN_ORIGIN = 4403

export class Socket {
  #url
  #connect
  #socket = null
  #tries = 0
  #timers = {}
  #listeners = { frame: [], state: [] }
  #subscriptions = new Map() // conversation -> function that gives the last position

  constructor(url, connect = (address) => new WebSocket(address)) {
    this.#url = url
    this.#connect = connect
    this.state = "connecting"
  }

  on(name, listener) {
    this.#listeners[name].push(listener)
  }

  open() {
    clearTimeout(this.#timers.retry)
    if (this.state === "refused" || this.#socket) return
    this.#enter("connecting")
    const socket = this.#connect(this.#url)
    this.#socket = socket
    socket.onopen = () => this.#opened()
    socket.onmessage = ({ data }) => this.#received(JSON.parse(data))
    socket.onclose = ({ code }) => this.#closed(socket, code)
  }

  // Sends now or not at all; true when it went out. What must not be lost goes through the send queue.
  send(frame) {
    if (this.state !== "open") return false
    this.#socket.send(JSON.stringify(frame))
    return true
  }

  subscribe(conversation, position) {
    this.#subscriptions.set(conversation, position)
    this.send({ type: "subscribe", conversation, after: position() })
  }

  unsubscribe(conversation) {
    if (this.#subscriptions.delete(conversation)) this.send({ type: "unsubscribe", conversation })
  }

  // The network came back, or the tab was woken: do not sit out the rest of a long wait.
  retryNow() {
    this.#tries = 0
    if (this.state === "open") this.#ping()
    else this.open()
  }

  // The browser says that the network is gone; a half-open connection would hide it for seconds.
  drop() {
    const socket = this.#socket
    if (!socket) return
    socket.close()
    this.#closed(socket, 1006)
  }

  #opened() {
    this.#tries = 0
    this.#enter("open")
    for (const [conversation, position] of this.#subscriptions) {
      this.send({ type: "subscribe", conversation, after: position() })
    }
    this.#timers.ping = setInterval(() => this.#ping(), PING_MS)
  }

  #received(frame) {
    clearTimeout(this.#timers.pong)
    this.#timers.pong = null
    if (frame.type === "pong") return
    for (const listener of this.#listeners.frame) listener(frame)
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return
    this.#socket = null
    clearInterval(this.#timers.ping)
    clearTimeout(this.#timers.pong)
    this.#timers.pong = null
    if (code === SIGNED_OUT || code === FOREIGN_ORIGIN) return this.#enter("refused")
    this.#enter("waiting")
    this.#timers.retry = setTimeout(() => this.open(), this.#wait())
  }

  #wait() {
    const limit = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++)
    return limit * (0.5 + Math.random() / 2) // spread out: a restarted server is not met by all tabs at once
  }

  #ping() {
    if (!this.send({ type: "ping" }) || this.#timers.pong) return
    this.#timers.pong = setTimeout(() => this.drop(), PONG_LIMIT_MS)
  }

  #enter(state) {
    this.state = state
    for (const listener of this.#listeners.state) listener(state)
  }
}
