/** The pages that are opened now and then, in one chunk. */

import "./about.js";
import "./operations.js";
import "./privacy.js";
import "./quarantine.js";
import "./requests.js";
import "./uploads.js";
