// A temporary chat says that its page is open, and when it is left: then it is deleted soon.

import { post, csrfToken } from "../helpers/http.js"

const EVERY_MS = 45_000 // the site waits two minutes for one that was closed

export class Temporary {
  #chat

  constructor({ chat }) {
    this.#chat = chat
    if (chat.root.dataset.temporary !== "true") return
    setInterval(() => this.#stay(), EVERY_MS)
    setTimeout(() => this.#stay(), 3_000) // the page before this one may have said late that it was left
    addEventListener("pagehide", () => this.#leave())
    addEventListener("pageshow", (event) => event.persisted && location.reload())
  }

  #stay() {
    if (this.#chat.conversation) void post(`/c/${this.#chat.conversation}/presence`, { open: "true" }).catch(() => {})
  }

  // It must outlive the page.
  #leave() {
    if (!this.#chat.conversation) return
    void fetch(`/c/${this.#chat.conversation}/presence`, { method: "POST", keepalive: true, headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" }, body: new URLSearchParams() })
  }
}
