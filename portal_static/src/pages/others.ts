/** The pages that are opened now and then, in one chunk. */

import "./about.js";
