// The pages that know passkeys: the account, and the door.

import { startPasskeys } from "./controllers/passkeys.js"

startPasskeys()
