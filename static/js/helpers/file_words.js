// What a person is told of a file: its size, and how far it is.

import { t } from "./strings.js"

const KILO = 1024
const UNITS = ["KB", "MB", "GB"]

const language = document.documentElement.lang || "en"

// sizeWords(1_300_000) -> "1.2 MB"
export function sizeWords(bytes) {
  const power = Math.max(1, Math.min(UNITS.length, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(KILO))))
  const number = Math.max(0.1, bytes / KILO ** power)
  return `${number.toLocaleString(language, { maximumFractionDigits: number < 10 ? 1 : 0 })} ${UNITS[power - 1]}`
}

// `note` is what else there is to say of a file that is ready.
export function stateWords(item, note = "") {
  switch (item.state) {
    case "waiting": return t("Waiting for its turn")
    case "uploading": return t("Uploading, {percent}%", { percent: percentOf(item) })
    case "interrupted": return t("Connection lost at {percent}%; it goes on by itself", { percent: percentOf(item) })
    case "missing": return t("Stopped at {percent}%: choose the same file again to go on", { percent: percentOf(item) })
    case "queued": return t("Waiting to be read")
    case "parsing": return readingWords(item)
    case "ready": return [sizeWords(item.size), countWords(item), note].filter(Boolean).join(" · ")
    case "partly": return t("Partly readable")
    case "failed": return item.reason || t("It cannot be read.")
    case "cancelled": return t("Cancelled")
    default: return item.reason || t("It cannot be uploaded.")
  }
}

// What of a partly readable file is missing, or "".
export function missingWords({ state, reason }) {
  return state === "partly" ? reason : ""
}

// How much of the bar is full, or null where there is no bar.
export function progressOf(item) {
  if (item.state === "uploading" || item.state === "interrupted" || item.state === "missing") return percentOf(item)
  if (item.state === "parsing") return item.total ? Math.min(100, Math.round((100 * item.done) / item.total)) : 0
  return item.state === "waiting" ? 0 : null
}

const ICONS = [
  [/^image\//, "file-image"],
  [/pdf$/, "file-pdf"],
  [/presentation|powerpoint/, "file-slides"],
  [/sheet|excel|csv|tab-separated/, "file-table"],
  [/json|[/+]xml|html|javascript|x-python|x-sh|source/, "file-code"],
  [/message|rfc822|outlook/, "file-mail"],
]
const NAMES = [
  [/\.(png|jpe?g|webp|gif|tiff?|bmp|heic)$/i, "file-image"],
  [/\.pdf$/i, "file-pdf"],
  [/\.(pptx?|odp)$/i, "file-slides"],
  [/\.(xlsx?|ods|csv|tsv)$/i, "file-table"],
  [/\.(json|html?|xml|js|ts|py|c|h|cpp|rs|go|java|sh|css|sql|yaml|yml|toml)$/i, "file-code"],
  [/\.(eml|msg)$/i, "file-mail"],
]

export function iconOf({ name, type }) {
  const byName = NAMES.find(([pattern]) => pattern.test(name))
  const byType = ICONS.find(([pattern]) => pattern.test(type ?? ""))
  return (byName ?? byType)?.[1] ?? "file-text"
}

function percentOf({ sent, size }) {
  return size ? Math.floor((100 * sent) / size) : 0
}

function readingWords({ unit, done, total }) {
  if (!total) return t("Reading…")
  const number = Math.min(total, done + 1)
  switch (unit) {
    case "page": return t("Reading page {number} of {total}", { number, total })
    case "slide": return t("Reading slide {number} of {total}", { number, total })
    case "sheet": return t("Reading sheet {number} of {total}", { number, total })
    default: return t("Reading part {number} of {total}", { number, total })
  }
}

function countWords({ unit, total }) {
  if (total < 2) return ""
  if (unit === "page") return t("{total} pages", { total })
  if (unit === "slide") return t("{total} slides", { total })
  if (unit === "sheet") return t("{total} sheets", { total })
  return ""
}
