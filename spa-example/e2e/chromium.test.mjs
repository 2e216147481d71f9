// The suite in Debian's chromium.
import { suite } from "./suite.mjs";

suite("chromium", { parallelTabs: 10 });
