//! Who may call: Host, Origin, Fetch Metadata and the CSRF header. Pure decisions: no I/O, no time, no actix types.
