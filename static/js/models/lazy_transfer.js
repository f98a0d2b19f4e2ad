// A transfer whose library is loaded with the first file; most pages never need it. Knows no DOM.

export class LazyTransfer {
  #fields
  #transfer = null
  #isStopped = false

  constructor(fields) {
    this.#fields = fields
  }

  async start() {
    const { Transfer } = await import("./transfer.js")
    if (this.#isStopped) return
    this.#transfer = new Transfer(this.#fields)
    this.#transfer.start()
  }

  stop() {
    this.#isStopped = true
    this.#transfer?.stop()
  }

  retryNow() {
    this.#transfer?.retryNow()
  }
}
