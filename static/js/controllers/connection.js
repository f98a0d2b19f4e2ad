// The line that says when the page is cut off, and what happens then. Silent while all is well.

import { element, find } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"

const PATIENCE_MS = 1_200 // a reconnect that is quicker than this is nobody's business

export class Connection {
  #line = find("[data-connection]")
  #socket
  #timer

  constructor({ socket }) {
    this.#socket = socket
    socket.on("state", (state) => this.#show(state))
    addEventListener("online", () => socket.retryNow())
    addEventListener("offline", () => socket.drop())
    addEventListener("pageshow", (event) => event.persisted && socket.retryNow())
    document.addEventListener("visibilitychange", () => document.hidden || socket.retryNow())
  }

  #show(state) {
    if (state === "connecting") return
    clearTimeout(this.#timer)
    if (state === "open") this.#line.hidden = true
    else if (state === "refused") this.#say(t("You are signed out."), element("a", { href: `/sign-in?next=${encodeURIComponent(location.pathname)}` }, t("Sign in")))
    else this.#timer = setTimeout(() => this.#say(navigator.onLine ? t("Reconnecting…") : t("No network; your text is kept.")), PATIENCE_MS)
  }

  #say(...words) {
    this.#line.replaceChildren(...words)
    this.#line.hidden = false
  }
}
