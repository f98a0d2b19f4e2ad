// Menus and cards that hang on a button: placed beside it, closed by Escape, by a click elsewhere or by losing focus.

import { findAll } from "../helpers/dom.js"

const EDGE = 8
let open = null

export const isOpen = () => open !== null

export function toggle(popover, button) {
  if (open?.button === button) return close()
  close()
  popover.showPopover()
  place(popover, button)
  button.ariaExpanded = "true"
  open = { popover, button }
  items(popover)[0]?.focus()
}

export function close({ restoreFocus = true } = {}) {
  if (!open) return
  const { popover, button } = open
  open = null
  popover.hidePopover()
  button.ariaExpanded = "false"
  if (restoreFocus && button.isConnected) button.focus()
}

// Below the anchor, or above it where there is no room.
export function place(popover, button) {
  const anchor = button.getBoundingClientRect()
  const { width, height } = popover.getBoundingClientRect()
  const fitsBelow = anchor.bottom + 4 + height < innerHeight - EDGE
  const top = fitsBelow ? anchor.bottom + 4 : Math.max(EDGE, anchor.top - height - 4)
  const rtl = document.documentElement.dir === "rtl"
  const start = rtl ? innerWidth - anchor.right : anchor.left
  popover.style.setProperty("--menu-top", `${top}px`)
  popover.style.setProperty("--menu-start", `${Math.max(EDGE, Math.min(start, innerWidth - width - EDGE))}px`)
}

function items(popover) {
  return findAll(":is([role^=menuitem], button, a[href]):not([hidden])", popover)
}

document.addEventListener("keydown", (event) => {
  if (!open) return
  if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); return close() }
  if (event.key === "Tab") return close()
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
  if (!step) return
  event.preventDefault()
  const all = items(open.popover)
  all.at((all.indexOf(document.activeElement) + step + all.length) % all.length)?.focus()
}, { capture: true })

document.addEventListener("pointerdown", ({ target }) => {
  if (open && !open.popover.contains(target) && !open.button.contains(target)) close({ restoreFocus: false })
})
addEventListener("resize", () => close({ restoreFocus: false }))
