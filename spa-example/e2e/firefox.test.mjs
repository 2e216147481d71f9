// The suite in Debian's firefox.
import { suite } from "./suite.mjs";

suite("firefox", { parallelTabs: 5 });
