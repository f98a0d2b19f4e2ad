// What every page has: preferences, toasts, copying, asking before a form goes, and forgetting drafts at sign-out.

import { startConfirming } from "./controllers/confirming.js"
import { startCopying } from "./controllers/copying.js"
import { startPreferences } from "./controllers/preferences.js"

startConfirming()
startCopying()
startPreferences()
