// Files on their way into a collection: chips while they are sent, rows of the list once they are there.

import { find } from "../helpers/dom.js"
import { csrfToken, post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { FileSet } from "../models/file_set.js"
import { LazyTransfer } from "../models/lazy_transfer.js"
import { Chips } from "./chips.js"
import { startChoosing, startDropping } from "./taking.js"
import { toast } from "./toast.js"

const MOST_AT_ONCE = 150 // the server takes 200 that are under way, of all tabs together

export class CollectionUploads {
  #set
  #list

  constructor({ form, list }) {
    this.#list = list
    const { collection, maxMb } = form.dataset
    const transfer = (fields) => new LazyTransfer({ ...fields, collection, csrfToken })
    const limits = { maxBytes: Number(maxMb) * 1024 * 1024, maxFiles: MOST_AT_ONCE, words: (code) => wordsOf(code, maxMb) }
    this.#set = new FileSet({ transfer, server: SERVER, limits })
    new Chips({ list: find("[data-chips]"), set: this.#set })
    this.#set.on(() => this.#settle())
    startChoosing(form, (files) => this.#set.add(files))
    startDropping((files) => this.#set.add(files))
    addEventListener("online", () => this.#set.retryNow())
    addEventListener("beforeunload", (event) => { if (this.#set.isSending) event.preventDefault() })
  }

  // What has arrived is a row from now on.
  #settle() {
    const arrived = this.#set.items.filter(({ state, transfer }) => state === "queued" && !transfer)
    if (!arrived.length) return
    this.#set.forget(arrived.map(({ id }) => id))
    void this.#list.refresh()
  }
}

function wordsOf(code, maxMb) {
  if (code === "empty") return t("The file is empty.")
  if (code === "too_large") return t("Larger than {size} MB, the most that is taken.", { size: maxMb })
  return t("At most {count} files can be on their way at once.", { count: MOST_AT_ONCE })
}

const SERVER = {
  remove: (id) => post(`/files/${id}/remove`).catch((error) => error.status === 404 || toast(error.message)),
  retry: (id) => post(`/files/${id}/retry`).then(() => true, (error) => { toast(error.message); return false }),
}
