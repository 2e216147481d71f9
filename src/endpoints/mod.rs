//! What the SPA and the authorization server call: one handler per file, each reads like a list. Gets its parts as arguments, never a whole App.
