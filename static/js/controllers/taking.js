// The ways in for files: the paper clip, dropping them anywhere on the window, and pasting pictures or long text.

import { find } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { toast } from "./toast.js"

const LONG_TEXT = 8_000 // characters; more would bury the question, and is a file in all but name

// `onFiles(files, {isText})` gets what came in.
export function startTaking({ form, text, onFiles }) {
  startChoosing(form, onFiles)
  text.addEventListener("paste", (event) => pasted(event, onFiles))
  startDropping(onFiles)
}

// The button of a form, and its hidden field.
export function startChoosing(form, onFiles) {
  const input = find("[data-file-input]", form)
  find("[data-action=choose-files]", form).addEventListener("click", () => input.click())
  input.addEventListener("change", () => {
    onFiles([...input.files])
    input.value = "" // the same file may be chosen twice
  })
}

function pasted(event, onFiles) {
  const files = [...event.clipboardData.files]
  const text = event.clipboardData.getData("text/plain")
  // A spreadsheet puts its cells there as text and as a picture: the text is meant.
  if (files.length && !text) {
    event.preventDefault()
    onFiles(files.map(named))
  } else if (text.length > LONG_TEXT) {
    event.preventDefault()
    onFiles([new File([text], `${t("Pasted text")} ${clock()}.txt`, { type: "text/plain" })], { isText: true })
  }
}

// Pictures from the clipboard are all called image.png.
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file
  return new File([file], file.name.replace("image", `${t("Pasted picture")} ${clock()}`), { type: file.type, lastModified: file.lastModified })
}

let numPasted = 0
function clock() {
  const now = new Date()
  const parts = [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, "0"))
  return `${parts.join(".")}${numPasted++ ? ` (${numPasted})` : ""}`
}

export function startDropping(onFiles) {
  const veil = find("[data-drop-veil]")
  let depth = 0 // dragenter and dragleave come for every element on the way
  const show = (isShown) => { veil.hidden = !isShown }
  const carriesFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files")
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return
    event.preventDefault()
    depth += 1
    show(true)
  })
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return
    event.preventDefault()
    event.dataTransfer.dropEffect = "copy"
  })
  addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return
    depth = Math.max(0, depth - 1)
    if (depth === 0) show(false)
  })
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return
    event.preventDefault()
    depth = 0
    show(false)
    onFiles(withoutFolders(event.dataTransfer))
  })
}

function withoutFolders({ items, files }) {
  const folders = [...items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory).map(({ name }) => name)
  if (folders.length) toast(t("A folder cannot be attached; open it and choose its files."))
  return [...files].filter(({ name }) => !folders.includes(name))
}

