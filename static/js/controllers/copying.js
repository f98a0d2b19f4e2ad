// Buttons that copy the text they carry, and say so themselves.

import { copyText } from "../helpers/clipboard.js"
import { onAction } from "../helpers/dom.js"
import { t } from "../helpers/strings.js"
import { toast } from "./toast.js"

export function startCopying() {
  onAction(document, { "copy-text": copy })
}

async function copy(button) {
  try {
    await copyText(button.dataset.text)
    button.textContent = t("Copied")
  } catch {
    toast(t("That could not be copied. Select it and copy it by hand."))
  }
}
