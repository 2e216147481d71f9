//! Serves the SPA's files from a map made once. No file name is ever derived from a URL.
