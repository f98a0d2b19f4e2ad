// What every page has: preferences, toasts, and forgetting drafts at sign-out.

import { startPreferences } from "./controllers/preferences.js"

startPreferences()
