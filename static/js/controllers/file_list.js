// The rows of files: fetched again while one of them moves.

import { find } from "../helpers/dom.js"
import { getPartial } from "../helpers/http.js"
import { StatePoll } from "../models/state_poll.js"

export class FileList {
  #poll = new StatePoll({ ids: () => (this.#list.dataset.moving ? ["moving"] : []), ask: () => this.refresh() })

  constructor() {
    this.#poll.wake()
  }

  // Whether anything is different from before.
  async refresh() {
    const page = await getPartial(location.pathname + location.search).catch(() => null)
    const fresh = page && find("[data-files]", page)
    if (!fresh) return false
    const isChanged = statesOf(fresh) !== statesOf(this.#list)
    if (isChanged && !this.#list.contains(document.activeElement)) {
      this.#list.replaceWith(fresh)
      find("#files-title")?.replaceChildren(...(find("#files-title", page)?.childNodes ?? []))
    }
    this.#poll.wake()
    return isChanged
  }

  get #list() {
    return find("[data-files]")
  }
}

function statesOf(list) {
  return list.textContent.replace(/\s+/g, " ")
}
