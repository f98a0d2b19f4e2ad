// The searches of answers while they go on: their steps are fetched again when the log says that something has changed,
// some times a second at most. Queries that wait for the person are sent, changed or left out here.

import { find, findAll, onAction } from "../helpers/dom.js"
import { getPartial, post } from "../helpers/http.js"
import { morph } from "../helpers/morph.js"
import { toast } from "./toast.js"

const PAUSE_MS = 300

export class Searches {
  #element
  #scroller
  #busy = new Map() // search id -> whether it has changed again meanwhile

  constructor({ element, scroller }) {
    this.#element = element
    this.#scroller = scroller
    element.addEventListener("submit", (event) => this.#submitted(event))
    onAction(element, { "skip-search": (button) => this.#answer(button.closest("[data-search]"), "skip", []) })
  }

  // False where it is not on the page yet: then its message must be fetched.
  changed(id) {
    if (!this.#find(id)) return false
    if (this.#busy.has(id)) this.#busy.set(id, true)
    else void this.#refresh(id)
    return true
  }

  async #refresh(id) {
    this.#busy.set(id, false)
    const partial = await getPartial(`/searches/${id}`).catch(() => null)
    const fresh = partial && find("[data-search]", partial)
    const shown = this.#find(id)
    if (fresh && shown) this.#renew(shown, fresh)
    this.#scroller.follow()
    setTimeout(() => {
      const isBehind = this.#busy.get(id)
      this.#busy.delete(id)
      if (isBehind) void this.#refresh(id)
    }, PAUSE_MS)
  }

  // How far the pages are is not read out, only what has become of them.
  #renew(shown, fresh) {
    const { state } = shown.dataset
    renew(shown, fresh)
    if (shown.dataset.state !== state && !isGoingOn(shown)) find("[data-announcer]").textContent = find("[data-search-words]", shown).textContent
  }

  #submitted(event) {
    const form = event.target.closest("[data-confirm-search]")
    if (!form) return
    event.preventDefault()
    const queries = findAll("input[name=queries]", form).map(({ value }) => value.trim()).filter(Boolean)
    void this.#answer(form.closest("[data-search]"), queries.length ? "confirm" : "skip", queries)
  }

  async #answer(element, what, queries) {
    const id = element.dataset.search
    const buttons = findAll("[data-confirm-search] button", element)
    for (const button of buttons) button.disabled = true
    try {
      await post(`/searches/${id}/${what}`, queries.map((query) => ["queries", query]))
    } catch (error) {
      toast(error.message)
      for (const button of buttons) button.disabled = false
      return
    }
    this.changed(id)
  }

  #find(id) {
    return find(`[data-search="${id}"]`, this.#element)
  }
}

// A newer state of the same search, in the element that is shown. One that has come to nothing says so, late as it may be.
export function renew(shown, fresh) {
  const wasInTrouble = "trouble" in shown.dataset
  morph(shown, fresh)
  if ("trouble" in shown.dataset && !wasInTrouble) shown.open = true
}

// One line once the answer begins, or another search has; unless somebody has opened it by hand.
export function fold(element, isWriting) {
  const searches = findAll("[data-search]", element)
  for (const search of searches) {
    if ("touched" in search.dataset || "trouble" in search.dataset) continue
    if (isWriting || (search !== searches.at(-1) && !isGoingOn(search))) search.open = false
    else if (isGoingOn(search)) search.open = true
  }
}

// A click on its first line is a wish that outlasts what goes on.
export function rememberTouch({ target }) {
  const summary = target.closest("[data-search] > summary")
  if (summary) summary.parentElement.dataset.touched = ""
}

function isGoingOn(search) {
  return ["proposed", "queued", "running"].includes(search.dataset.state)
}
