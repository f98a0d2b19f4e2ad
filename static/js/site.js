// What every page has: preferences, toasts, copying, and forgetting drafts at sign-out.

import { startCopying } from "./controllers/copying.js"
import { startPreferences } from "./controllers/preferences.js"

startCopying()
startPreferences()
