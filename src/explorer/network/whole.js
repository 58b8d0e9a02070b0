// All that trains, as one function: a worker is made of its text, and the page calls it where there can be no worker.
// In the bundle, build.js lets this module hold the others, so that they stand in it once and the text is complete.

import { fastest } from "./fastest.js";
import { Lab } from "./lab.js";
import { runner } from "./runner.js";
import { work } from "./worker.js";

export const network = () => ({ Lab, fastest, runner, work });
