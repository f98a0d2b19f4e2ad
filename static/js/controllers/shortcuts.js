// Keys that work anywhere on the chat page.

import { close, isOpen } from "./popover.js"

export function startShortcuts({ composer, panel, sidebar }) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault()
      location.assign("/")
    } else if (event.key === "/" && !isTyping(event.target)) {
      event.preventDefault()
      composer.focus()
    } else if (event.key === "Escape") {
      if (isOpen()) close()
      else if (!sidebar.closeDrawer() && !panel.close()) composer.stop()
    }
  })
}

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null
}
