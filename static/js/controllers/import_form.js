// The form of an import: its file goes up piece by piece, however large, and is then read by a worker.

import { find } from "../helpers/dom.js"
import { csrfToken, post } from "../helpers/http.js"
import { t } from "../helpers/strings.js"
import { LazyTransfer } from "../models/lazy_transfer.js"
import { toast } from "./toast.js"

export class ImportForm {
  #form
  #progress
  #button

  constructor(form) {
    this.#form = form
    this.#progress = find("[data-import-progress]", form)
    this.#button = find("button", form)
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(find("[name=file]", form).files[0]) })
  }

  #send(file) {
    if (!file) return
    this.#button.disabled = true
    this.#progress.hidden = false
    let upload = null
    void new LazyTransfer({
      file,
      csrfToken,
      onId: (id) => { upload = id },
      onProgress: (sent) => { this.#progress.value = (100 * sent) / file.size },
      onInterrupted: () => {},
      onDone: () => this.#begin(upload),
      onRefused: (reason) => this.#failed(new Error(reason || t("That did not work. Try again."))),
    }).start().catch((error) => this.#failed(error))
  }

  async #begin(upload) {
    try {
      await post(this.#form.action, { upload })
      location.reload()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error) {
    this.#button.disabled = false
    this.#progress.hidden = true
    toast(error.message)
  }
}
