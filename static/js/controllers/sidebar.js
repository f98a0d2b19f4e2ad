// The list of chats: folding, the drawer on a phone, rename, pin, archive, delete with undo, older chats on scrolling down.

import { find, findAll, fromTemplate, onAction } from "../helpers/dom.js"
import { getPartial, post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { Folders } from "./folders.js"
import { close, isOpen, toggle } from "./popover.js"
import { Selection } from "./selection.js"
import { toast } from "./toast.js"

const FOLDED = "sonde:folded"
const DELETED = "sonde:deleted"
const REFRESH_MS = 300 // one fetch for a burst of changes
const PAGE = 50

export class Sidebar {
  #chat
  #thread
  #root
  #list
  #timer
  #chosen = null // the list entry whose menu is open
  #isComplete = false
  #selection
  #folders

  // `thread` is null on pages without one.
  constructor({ chat, thread = null }) {
    this.#chat = chat
    this.#thread = thread
    this.#root = chat.root
    this.#list = find("[data-conversations]")
    this.#root.classList.toggle("chat--folded", localStorage.getItem(FOLDED) === "true")
    onAction(this.#root, {
      "toggle-sidebar": () => this.#toggle(),
      "close-sidebar": () => this.closeDrawer(),
      rename: () => this.#rename(),
      pin: () => this.#fromMenu((ids) => this.#do("pin", ids)),
      unpin: () => this.#fromMenu((ids) => this.#do("release", ids)),
      archive: () => this.#fromMenu((ids) => this.#archive(ids)),
      delete: () => this.#fromMenu((ids) => this.#delete(ids)),
      move: () => this.#move(),
      print: () => { close({ restoreFocus: false }); print() },
      "choose-chats": () => this.#fromMenu(([id]) => this.#selection.start(id)),
      "archive-chosen": () => this.#archive(this.#selection.take()),
      "delete-chosen": () => this.#delete(this.#selection.take()),
      share: () => this.#fromMenu(([id]) => location.assign(`/c/${id}/share`)),
      fork: () => this.#fromMenu(([id]) => this.#fork(id)),
    })
    this.#selection = new Selection({ root: this.#root, list: this.#list, onStop: () => this.refresh() })
    this.#folders = new Folders({ list: this.#list, onMoved: () => this.refresh() })
    this.#root.addEventListener("click", ({ target }) => this.#openMenu(target.closest("[data-menu]")))
    this.#watchEnd()
    thread?.on("title", () => this.#showTitle())
    this.#offerUndoOfLastPage()
  }

  refresh() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#load(), REFRESH_MS)
  }

  markCurrent() {
    for (const entry of findAll("[data-entry]", this.#list)) {
      const link = find("a", entry)
      if (entry.dataset.entry === this.#chat.conversation) link?.setAttribute("aria-current", "page")
      else link?.removeAttribute("aria-current")
    }
  }

  // True when there was a drawer to close.
  closeDrawer() {
    if (!this.#root.classList.contains("chat--drawer")) return false
    this.#root.classList.remove("chat--drawer")
    this.#updateButtons()
    find(".stage__menu").focus()
    return true
  }

  #toggle() {
    if (matchMedia("(max-width: 860px)").matches) {
      const open = this.#root.classList.toggle("chat--drawer")
      if (open) find("a", find("[data-sidebar]")).focus()
    } else {
      localStorage.setItem(FOLDED, String(this.#root.classList.toggle("chat--folded")))
    }
    this.#updateButtons()
  }

  #updateButtons() {
    const isDrawer = this.#root.classList.contains("chat--drawer")
    for (const button of findAll("[data-action=toggle-sidebar]")) button.ariaExpanded = String(isDrawer || !this.#root.classList.contains("chat--folded"))
  }

  #openMenu(button) {
    if (!button) return
    this.#chosen = button.closest("[data-entry]")
    const { pinned, own } = this.#chosen?.dataset ?? {}
    const isShown = { move: own !== undefined, pin: pinned === undefined, unpin: pinned !== undefined, rename: own !== undefined, share: own !== undefined, delete: own !== undefined }
    if (this.#chosen) for (const [name, shown] of Object.entries(isShown)) find(`[data-popover=conversation] [data-action=${name}]`).hidden = !shown
    toggle(find(`[data-popover="${button.dataset.menu}"]`), button)
  }

  // A list that is being used is not pulled away from under the hand: it is fetched again a little later.
  async #load() {
    if (this.#selection.isActive) return // fetched when choosing has ended
    if (isOpen() || find("[data-rename]", this.#list)) return this.refresh()
    const fresh = find("[data-conversations]", await getPartial("/sidebar").catch(() => document.createElement("div")))
    if (!fresh) return
    const focused = document.activeElement?.closest("[data-entry]")?.dataset.entry
    this.#list.replaceChildren(...fresh.childNodes)
    this.#isComplete = false
    this.markCurrent()
    if (focused) find(`[data-entry="${focused}"] a`, this.#list)?.focus()
  }

  #watchEnd() {
    this.#list.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.#list
      if (scrollHeight - clientHeight - scrollTop < 200) void this.#loadOlder()
    }, { passive: true })
  }

  async #loadOlder() {
    const entries = findAll("[data-entry]", this.#list)
    if (this.#isComplete || entries.length < PAGE) return
    this.#isComplete = true // one request at a time
    const page = await getPartial(`/sidebar?before=${encodeURIComponent(entries.at(-1).dataset.updated)}`).catch(() => null)
    const groups = findAll(".conversations__group", page ?? document.createElement("div"))
    for (const group of groups) this.#append(group)
    this.#isComplete = page !== null && groups.length === 0
    this.markCurrent()
  }

  #append(group) {
    const last = findAll(".conversations__group", this.#list).at(-1)
    const same = last && find("h2", last).textContent === find("h2", group).textContent
    if (same) find("ul", last).append(...find("ul", group).children)
    else this.#list.append(group)
  }

  #showTitle() {
    const link = find(`[data-entry="${this.#chat.conversation}"] a`, this.#list)
    if (link) link.textContent = this.#thread.title
  }

  #rename() {
    const entry = this.#chosen
    close({ restoreFocus: false })
    const link = find("a", entry)
    const form = fromTemplate("rename")
    const input = find("[data-rename-title]", form)
    input.value = link.textContent
    const restore = () => form.isConnected && form.replaceWith(link)
    form.addEventListener("submit", (event) => { event.preventDefault(); void this.#saveTitle(entry, link, input.value, restore) })
    input.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); restore(); link.focus() } })
    input.addEventListener("blur", () => form.isConnected && form.requestSubmit())
    link.replaceWith(form)
    input.select()
  }

  async #saveTitle(entry, link, title, restore) {
    restore()
    if (!title.trim() || title === link.textContent) return
    const before = link.textContent
    link.textContent = title.trim()
    try {
      await post(`/c/${entry.dataset.entry}/rename`, { title })
      if (entry.dataset.entry === this.#chat.conversation) this.#thread.showTitle(title.trim())
    } catch (error) {
      link.textContent = before
      toast(error.message)
    }
  }

  #fromMenu(act) {
    const { entry } = this.#chosen.dataset
    close({ restoreFocus: false })
    return act([entry])
  }

  // The menu of folders takes the place of the chat's own.
  #move() {
    const entry = this.#chosen
    close({ restoreFocus: false })
    this.#folders.choose(entry.dataset.entry, find("[data-menu]", entry))
  }

  // One deed to all of these chats or, where it is refused, to none. Whether it was done.
  async #do(deed, ids) {
    if (!ids.length) return false
    try {
      await post("/chats", { deed, ids: ids.join() })
    } catch (error) {
      toast(error.message)
      return false
    }
    this.refresh()
    return true
  }

  async #archive(ids) {
    if (!(await this.#do("archive", ids))) return
    this.#takeOut(ids)
    const words = ids.length === 1 ? t("The chat is archived.") : t("{n} chats are archived.", { n: ids.length })
    toast(words, { action: t("Undo"), onAction: () => this.#do("release", ids) })
  }

  async #delete(ids) {
    if (!(await this.#do("delete", ids))) return
    this.#takeOut(ids)
    if (ids.includes(this.#chat.conversation)) {
      sessionStorage.setItem(DELETED, ids.join())
      return location.assign("/")
    }
    this.#offerUndo(ids)
  }

  async #fork(id) {
    try {
      const copy = await post(`/c/${id}/fork`)
      location.assign(`/c/${copy.id}`)
    } catch (error) {
      toast(error.message)
    }
  }

  #takeOut(ids) {
    for (const id of ids) find(`[data-entry="${id}"]`, this.#list)?.remove()
  }

  // The chat that was on the page has been deleted, and the page left with it.
  #offerUndoOfLastPage() {
    const ids = sessionStorage.getItem(DELETED)
    sessionStorage.removeItem(DELETED)
    if (ids) this.#offerUndo(ids.split(","))
  }

  #offerUndo(ids) {
    const words = ids.length === 1 ? t("The chat is deleted.") : t("{n} chats are deleted.", { n: ids.length })
    toast(words, { action: t("Undo"), onAction: () => this.#do("restore", ids) })
  }
}
