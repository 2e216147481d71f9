//! The names of our cookies. Declared here and nowhere else; the proxy strips by the same list.

/// The most cookies that one record is split over.
pub const MOST_CHUNKS: usize = 4;

/// The cookie names of one app.
pub struct Names {
    /// With the chunk number appended: `__Host-Http-app-t.0`.
    pub record: String,
    pub activity: String,
    /// Instead of both when sessions are kept on the server.
    pub ticket: String,
    pub logout_hint: String,
    pub logout_ticket: String,
    /// With eight characters of the state's digest appended.
    pub login: String,
    pub login_trail: String,
}

impl Names {
    /// `port` is in the names on plain-HTTP loopback only, where cookies of several dev stacks would mix.
    pub fn new(app_id: &str, port: Option<u16>) -> Self {
        let app = port.map_or_else(|| app_id.to_owned(), |port| format!("{app_id}-{port}"));
        Self {
            record: format!("__Host-Http-{app}-t."),
            activity: format!("__Host-Http-{app}-a"),
            ticket: format!("__Host-Http-{app}-s"),
            logout_hint: format!("__Secure-{app}-hint"),
            logout_ticket: format!("__Secure-{app}-bye"),
            login: format!("__Host-Http-{app}-login-"),
            login_trail: format!("__Host-Http-{app}-trail"),
        }
    }
}

/// Whether a cookie could be one of ours, of whatever app: then it never goes upstream, and an upstream never sets it.
/// The prefixes are compared without case, as browsers do.
pub fn is_reserved(name: &str) -> bool {
    ["__host-http-", "__host-", "__secure-", "__http-"].iter().any(|prefix| {
        name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    })
}
