// One file on its way up by the tus protocol: goes on after a lost connection, and from where an earlier page stopped.
// Tries for as long as the network is the trouble; what the server refuses is refused.

import { Upload } from "../../vendor/tus.js"

const ENDPOINT = "/files/uploads"
const PIECE_BYTES = 8 * 1024 * 1024 // a broken connection repeats at most this much, and proxies cap a request's body
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 15_000
const DISK_FULL = 507
const TEMPORARY = new Set([0, 408, 409, 423, 425, 429]) // 409 and 423: an earlier request of the same upload is not over yet

export class Transfer {
  #upload
  #on
  #tries = 0
  #timer = null
  #isOver = false

  // `id`: the upload that an earlier page began; `collection`: where the file is to be kept, else it is for a question.
  // `csrfToken()` is asked before each request: it changes at sign-in.
  constructor({ file, id, collection, csrfToken, onId, onProgress, onInterrupted, onDone, onRefused }) {
    this.#on = { onInterrupted, onRefused }
    this.#upload = new Upload(file, {
      endpoint: ENDPOINT,
      uploadUrl: id ? `${ENDPOINT}/${id}` : null,
      chunkSize: PIECE_BYTES,
      retryDelays: null,
      storeFingerprintForResuming: false, // drafts remember the upload, and forget it at sign-out
      metadata: { filename: file.name, filetype: file.type, ...(collection && { collection }) },
      onBeforeRequest: (request) => {
        request.setHeader("X-CSRFToken", csrfToken())
        request.setHeader("Accept", "application/json")
      },
      onUploadUrlAvailable: () => onId(this.#upload.url.replace(/\/$/, "").split("/").at(-1)),
      onProgress: (sent) => { this.#tries = 0; onProgress(sent) },
      onSuccess: () => { this.#isOver = true; onDone() },
      onError: (error) => this.#failed(error),
    })
  }

  start() {
    this.#upload.start()
  }

  // The upload itself stays at the server; removing it is another request.
  stop() {
    this.#isOver = true
    clearTimeout(this.#timer)
    void this.#upload.abort()
  }

  retryNow() {
    if (this.#isOver || this.#timer === null) return
    clearTimeout(this.#timer)
    this.#timer = null
    this.#upload.start()
  }

  #failed(error) {
    if (this.#isOver) return
    const status = error.originalResponse?.getStatus() ?? 0
    if (!TEMPORARY.has(status) && (status < 500 || status === DISK_FULL)) {
      this.#isOver = true
      return this.#on.onRefused(reasonOf(error.originalResponse))
    }
    this.#on.onInterrupted()
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++)
    this.#timer = setTimeout(() => this.retryNow(), wait)
  }
}

// The server's own words for people, if it sent any.
function reasonOf(response) {
  try {
    return JSON.parse(response.getBody()).error.message
  } catch {
    return ""
  }
}
