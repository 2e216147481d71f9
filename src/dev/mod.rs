//! The dev stack: embedded authorization server and demo API on loopback. Cargo feature `dev`; never in the release image.
