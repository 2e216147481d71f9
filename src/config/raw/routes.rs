//! `[[routes]]` and `[spa]` as written: names, shapes and defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use super::Pairs;
use crate::config::choices::{CloseAt, Otherwise, Retry, TokenSource};

/// One route of the proxy.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawRoute {
    /// Matches whole segments, e.g. `/api/orders`. Required.
    #[schemars(extend("x-unit" = "path"))]
    pub path: Option<String>,
    /// Where requests go: `http` or `https`, host, port, path prefix. Required.
    #[schemars(extend("x-unit" = "URL"))]
    pub upstream: Option<String>,
    /// Where to connect instead of to the host of `upstream`, which stays the `Host` and the name that TLS verifies: `host:port`, or
    /// `unix:/path` for a Unix socket. With several, calls go to each in turn; one that cannot be connected to is left out for a while.
    #[schemars(extend("x-unit" = "addresses"))]
    pub addresses: Vec<String>,
    /// Speak HTTP/2 with the upstream, many calls over one connection: agreed on by TLS, or from the first byte on (`h2c`) where the
    /// upstream is plain `http`. An upstream that does not speak it is an error; there is no falling back.
    pub http2: bool,
    /// PEM file with the certificate authorities to trust for the upstream, instead of the system's.
    #[schemars(extend("x-unit" = "file"))]
    pub ca_file: Option<String>,
    /// PEM file with the certificate, and those between it and its authority, that we show the upstream (mutual TLS).
    #[schemars(extend("x-unit" = "file"))]
    pub client_cert_file: Option<String>,
    /// PEM file with the private key of `client_cert_file`.
    #[schemars(extend("x-unit" = "file"))]
    pub client_key_file: Option<String>,
    /// Which access token the API gets. `login`: that of the login. `resource`: one for this API, cut from the login's grant (RFC 8707).
    /// `exchange`: one for this API, exchanged for that of the login (RFC 8693).
    /// `introspect`: the JWT that an opaque one stands for, or the same once the authorization server says that it is active
    /// (`provider.introspection`). `client`: one of ours (client credentials), for callers without a session, too. `none`: none, and no
    /// session is needed.
    pub token: TokenSource,
    /// The API that the token is for, as the authorization server calls it (`audience`). With `exchange` and `client`.
    pub token_audience: Option<String>,
    /// The same as a URI (`resource`, RFC 8707); with `resource`, too: one of `provider.resources`.
    #[schemars(extend("x-unit" = "URL"))]
    pub token_resource: Option<String>,
    /// Scopes of the token; no more than the API needs. With `resource` they must be among those of the login.
    pub token_scopes: Vec<String>,
    /// How long such a token, or what was said of one, is used at most; 1s to 1h. It ends with the token, whatever stands here.
    #[schemars(extend("x-unit" = "duration"))]
    pub token_cache: String,
    /// How often one session may call this route: a whole number and `/s`, `/m` or `/h`, or `off`. So many at once, then as the
    /// time passes; more are 429 `rate_limited`. Each process counts by itself.
    #[schemars(extend("x-unit" = "rate"))]
    pub session_rate: String,
    /// Scopes that the login must have been granted, all of them; else 403 `scope_missing`, and nothing goes to the upstream.
    pub require_scopes: Vec<String>,
    /// Claims of the login that this route is for, each with the values of which one must be there; an empty list takes any
    /// value but `false`. Else 403 `claim_missing`. A claim inside another one is named by its JSON pointer (RFC 6901), e.g.
    /// `/realm_access/roles`.
    #[schemars(extend("x-unit" = "values by claim"))]
    pub require_claims: BTreeMap<String, Vec<String>>,
    /// Request header fields that tell the upstream claims of the login, each by its claim. No caller can set such a field, in
    /// no spelling and on no route of the app. What is not printable ASCII is percent-encoded; lists have commas.
    #[schemars(extend("x-unit" = "claim by field"))]
    pub claim_headers: Pairs,
    /// Choose the upstream by a claim of the login, e.g. the user's home region.
    pub upstream_by: Option<RawUpstreamBy>,
    /// Methods that pass. Empty: `GET HEAD POST PUT PATCH DELETE OPTIONS`.
    pub methods: Vec<String>,
    /// Remove `path` before the upstream's own path prefix is put in front.
    pub strip_prefix: bool,
    /// Let GET and HEAD come without the CSRF header (downloads, images), guarded by Fetch Metadata.
    pub header_free: bool,
    /// Let WebSockets through, from listed origins and with a session only.
    pub websocket: bool,
    /// Leave a security event (`api_call`) of every call, answered or refused: for what is sensitive.
    pub audit: bool,
    /// When an open WebSocket or stream is closed: when its session ends, or already when the access token that it was
    /// opened with does.
    pub close_at: CloseAt,
    /// `Sec-Fetch-Dest` values beside `empty` that are served, e.g. `image`, `document`.
    pub fetch_dest: Vec<String>,
    /// Media types that a `document` request may see inline instead of as a download.
    #[schemars(extend("x-unit" = "media types"))]
    pub inline_types: Vec<String>,
    /// Request header fields that go to the upstream. Empty: all that may; credentials, forwarding and identity fields and
    /// what concerns the browser alone never do, listed or not.
    #[schemars(extend("x-unit" = "names"))]
    pub forward_headers: Vec<String>,
    /// Response header fields that do not reach the browser, beside those that never do.
    #[schemars(extend("x-unit" = "names"))]
    pub drop_response_headers: Vec<String>,
    /// Response header fields to set, whatever the upstream says. Those that keep an answer harmless cannot be set.
    #[schemars(extend("x-unit" = "fields"))]
    pub set_response_headers: Pairs,
    /// Request cookies that go to the upstream. Ours never do.
    pub forward_cookies: Vec<String>,
    /// Cookies of the upstream that reach the browser. Ours cannot be among them.
    pub response_cookies: Vec<String>,
    /// Add `Cache-Control: private` when the upstream says nothing about caching, instead of `no-store`.
    pub cache_private: bool,
    /// Largest request body.
    #[schemars(extend("x-unit" = "size"))]
    pub body_limit: String,
    /// Time limit for connecting to the upstream; 1s to 60s.
    #[schemars(extend("x-unit" = "duration"))]
    pub connect_timeout: String,
    /// Time limit until the upstream's response head; 1s to 1h. While a request body moves, it starts again.
    #[schemars(extend("x-unit" = "duration"))]
    pub response_timeout: String,
    /// Time limit for silence inside a response body; 1s to 24h, or `off`. Event streams (`text/event-stream`) may be
    /// silent for as long as they like.
    #[schemars(extend("x-unit" = "duration"))]
    pub idle_timeout: String,
    /// Time limit for the whole call, to the last byte of the response body; 1s to 24h, or `off`. Holds for event
    /// streams, too.
    #[schemars(extend("x-unit" = "duration"))]
    pub total_timeout: String,
    /// How long an idle connection to the upstream is kept; 1s to 1h. Keep it shorter than the upstream keeps them, or
    /// requests meet connections that are being closed. An upstream's own `Keep-Alive: timeout` shortens it.
    #[schemars(extend("x-unit" = "duration"))]
    pub keepalive_timeout: String,
    /// What is sent again, once, when a kept connection turns out dead: `never_sent` only what had not been started;
    /// `idempotent` also GET, HEAD, OPTIONS, PUT and DELETE without a body, which the upstream may then see twice.
    pub retry: Retry,
    /// Most calls in flight at the upstream, of all workers and of all routes to it; beyond that this route answers 503
    /// `upstream_busy`. Open event streams and tunnels count.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-unit" = "calls"))]
    pub max_in_flight: u32,
}

impl Default for RawRoute {
    fn default() -> Self {
        Self {
            path: None,
            upstream: None,
            addresses: Vec::new(),
            http2: false,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            token: TokenSource::Login,
            token_audience: None,
            token_resource: None,
            token_scopes: Vec::new(),
            token_cache: "5m".to_owned(),
            session_rate: "off".to_owned(),
            require_scopes: Vec::new(),
            require_claims: BTreeMap::new(),
            claim_headers: Pairs::new(),
            upstream_by: None,
            methods: Vec::new(),
            strip_prefix: false,
            header_free: false,
            websocket: false,
            audit: false,
            close_at: CloseAt::SessionEnd,
            fetch_dest: Vec::new(),
            inline_types: Vec::new(),
            forward_headers: Vec::new(),
            drop_response_headers: Vec::new(),
            set_response_headers: Pairs::new(),
            forward_cookies: Vec::new(),
            response_cookies: Vec::new(),
            cache_private: false,
            body_limit: "10MiB".to_owned(),
            connect_timeout: "5s".to_owned(),
            response_timeout: "60s".to_owned(),
            idle_timeout: "5m".to_owned(),
            total_timeout: "off".to_owned(),
            keepalive_timeout: "4s".to_owned(),
            retry: Retry::NeverSent,
            max_in_flight: 10_000,
        }
    }
}

/// Which claim chooses the upstream of a route, and which value leads where.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawUpstreamBy {
    /// The claim, or its JSON pointer (RFC 6901). Required.
    pub claim: Option<String>,
    /// Where calls go, by the claim's value; same form as the route's `upstream`, and the same certificates.
    #[schemars(extend("x-unit" = "URL by value"))]
    pub upstreams: Pairs,
    /// Calls of sessions without the claim: `refuse` them (403 `claim_missing`), or send them to the route's `upstream`.
    pub missing: Otherwise,
    /// Calls of sessions whose claim has another value: `refuse` them (403 `claim_unknown`), or send them to the route's
    /// `upstream`.
    pub unknown: Otherwise,
}

impl Default for RawUpstreamBy {
    fn default() -> Self {
        Self {
            claim: None,
            upstreams: Pairs::new(),
            missing: Otherwise::Refuse,
            unknown: Otherwise::Refuse,
        }
    }
}

/// The SPA's files, or its dev server: one of `root` and `dev_server`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSpa {
    /// Folder with the built SPA; must hold `index.html`.
    #[schemars(extend("x-unit" = "folder"))]
    pub root: Option<String>,
    /// List the folder again on every request, for development.
    pub relist: bool,
    /// A dev server on this machine to proxy instead of a folder, for development.
    #[schemars(extend("x-unit" = "URL"))]
    pub dev_server: Option<String>,
    /// `Content-Security-Policy` of the SPA's pages.
    pub csp: String,
}

impl Default for RawSpa {
    fn default() -> Self {
        let csp = "default-src 'self'; frame-ancestors 'none'; base-uri 'self'; object-src 'none'";
        Self { root: None, relist: false, dev_server: None, csp: csp.to_owned() }
    }
}
