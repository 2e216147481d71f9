//! Which upstream a path belongs to, which methods it serves, and how paths map onto the upstream and back.
//! Matches whole segments, the longest route wins; never forwards TRACE or CONNECT.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use super::error::ProxyError;
use super::path::NormalPath;
use crate::config::{RouteConfig, Upstream};
use crate::telemetry::{Answered, Counter};

const DEFAULT_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The routes of one app, by their paths without a slash at the end: a thousand are found as fast as ten.
pub struct RouteTable {
    by_path: HashMap<String, Route, BuildHasherDefault<Fnv>>,
    /// The most segments that a route's path has: what is deeper in a request's path is not looked at.
    deepest: usize,
}

impl RouteTable {
    /// Of two routes that differ in the slash at the end only, the longer counts.
    pub fn new(routes: Vec<RouteConfig>) -> Self {
        Self::counted(routes, |_| Default::default())
    }

    /// The same; `counters` gives what counts the answers of the route at a path, see [`Metrics::answers`].
    ///
    /// [`Metrics::answers`]: crate::telemetry::Metrics::answers
    pub fn counted(mut routes: Vec<RouteConfig>, counters: impl Fn(&str) -> [Counter; 5]) -> Self {
        routes.sort_by_key(|route| route.path.len());
        let by_path: HashMap<_, _, _> = routes
            .into_iter()
            .map(|route| {
                let answers = counters(&route.path);
                (route.path.trim_end_matches('/').to_owned(), Route::counted(route, answers))
            })
            .collect();
        let segments = |path: &String| path.matches('/').count();
        Self { deepest: by_path.keys().map(segments).max().unwrap_or(0), by_path }
    }

    /// The route of `path`: the longest whose whole segments start it.
    pub fn find(&self, path: &NormalPath) -> Option<&Route> {
        let path = path.as_str();
        let slashes = path.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'/');
        let ends = slashes.map(|(at, _)| at).chain([path.len()]).take(self.deepest);
        // From the longest down to the root (nothing).
        let starts: SmallVec<[usize; 8]> = [0].into_iter().chain(ends).collect();
        let mut starts = starts.iter().rev().filter_map(|end| path.get(..*end));
        starts.find_map(|start| self.by_path.get(start))
    }
}

/// FNV-1a. What is in the table comes from the configuration, so nobody can fill it with paths that collide; looking one up costs a
/// third of what the library's own hash does.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One route: a path prefix and its fixed upstream.
pub struct Route {
    config: RouteConfig,
    /// The upstream once more: by this address the pool knows it again without comparing names.
    upstream: Arc<Upstream>,
    allow: Arc<str>,
    /// What every answer gets: names in lower case.
    set_fields: Vec<(String, String)>,
    answers: [Counter; 5],
    /// The same route to other upstreams, by the value of the claim that chooses them.
    by_claim: BTreeMap<String, Self>,
}

impl Route {
    #[cfg(test)]
    fn new(config: RouteConfig) -> Self {
        Self::counted(config, Default::default())
    }

    fn counted(config: RouteConfig, answers: [Counter; 5]) -> Self {
        let chosen = config.rules.by_claim.iter().flat_map(|by| &by.upstreams);
        let by_claim = chosen.map(|(value, upstream)| {
            let config = RouteConfig { upstream: upstream.clone(), ..config.clone() };
            (value.clone(), Self::to_one(config, answers.clone()))
        });
        Self { by_claim: by_claim.collect(), ..Self::to_one(config, answers) }
    }

    fn to_one(config: RouteConfig, answers: [Counter; 5]) -> Self {
        let allow = if config.methods.is_empty() {
            DEFAULT_METHODS.join(", ")
        } else {
            let safe = config.methods.iter().map(String::as_str).filter(|name| !is_never(name));
            safe.collect::<Vec<_>>().join(", ")
        };
        // The configuration holds names and values that are valid.
        let set_fields = config.set_response_headers.iter();
        let set_fields = set_fields.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        Self {
            set_fields: set_fields.collect(),
            upstream: Arc::new(config.upstream.clone()),
            config,
            allow: allow.into(),
            answers,
            by_claim: BTreeMap::new(),
        }
    }

    /// The same route to the upstream that the value of a claim has chosen.
    pub fn chosen(&self, value: Option<&str>) -> &Self {
        value.and_then(|value| self.by_claim.get(value)).unwrap_or(self)
    }

    /// Counts an answer of the upstream.
    pub(super) fn answered(&self, how: Answered) {
        if let Some(counter) = self.answers.get(how.index()) {
            counter.inc();
        }
    }

    /// The settings of the route.
    pub fn config(&self) -> &RouteConfig {
        &self.config
    }

    /// Where the route leads; the same `Arc` for as long as the route lives.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The methods served, as the `Allow` field lists them.
    pub(super) fn allow(&self) -> &str {
        &self.allow
    }

    /// Whether the route lets a request field through that may pass. `name` in lower case.
    pub(super) fn forwards(&self, name: &str) -> bool {
        let listed = &self.config.forward_headers;
        listed.is_empty() || listed.iter().any(|listed| listed == name)
    }

    /// Whether the route keeps a response field from the browser that may pass. `name` in lower case.
    pub(super) fn drops(&self, name: &str) -> bool {
        self.config.drop_response_headers.iter().any(|listed| listed == name)
    }

    /// Response fields that the route sets.
    pub(super) fn set_fields(&self) -> &[(String, String)] {
        &self.set_fields
    }

    /// What the route sets a response field to, if it does. `name` in lower case.
    pub(super) fn sets(&self, name: &str) -> Option<&str> {
        let set = self.set_fields.iter().find(|(known, _)| known == name);
        set.map(|(_, value)| value.as_str())
    }

    /// Whether what the route sets stands in for the upstream's field. What an answer varies by, it still varies by (PX-12).
    pub(super) fn replaces(&self, name: &str) -> bool {
        name != "vary" && self.sets(name).is_some()
    }

    /// Refuses a method that the route does not list; the comparison is exact, as methods are (RFC 9110 §9.1).
    pub(super) fn admit(&self, method: &str) -> Result<(), ProxyError> {
        if self.serves(method) {
            Ok(())
        } else {
            Err(ProxyError::MethodNotAllowed { allow: Arc::clone(&self.allow) })
        }
    }

    /// Whether `method` is on the list.
    fn serves(&self, method: &str) -> bool {
        if self.config.methods.is_empty() {
            DEFAULT_METHODS.contains(&method)
        } else {
            !is_never(method) && self.config.methods.iter().any(|listed| listed == method)
        }
    }

    /// Whether `path` lies inside the route, by whole segments.
    pub(super) fn covers(&self, path: &str) -> bool {
        below(&self.config.path, path).is_some()
    }

    /// The path that the upstream sees.
    pub(super) fn upstream_path(&self, path: &NormalPath) -> String {
        self.upstream_target(path, None).concat()
    }

    /// The same, with a query as it came, in pieces.
    pub(super) fn upstream_target<'a>(
        &'a self,
        path: &'a NormalPath,
        query: Option<&'a str>,
    ) -> [&'a str; 5] {
        let rest = if self.config.strip_prefix {
            below(&self.config.path, path.as_str()).unwrap_or(path.as_str())
        } else {
            path.as_str()
        };
        let prefix = self.config.upstream.prefix.as_str();
        let root = if prefix.is_empty() && rest.is_empty() { "/" } else { "" };
        let mark = if query.is_some() { "?" } else { "" };
        [prefix, rest, root, mark, query.unwrap_or_default()]
    }

    /// The way back: the public path of an upstream path, if it lies inside the route.
    pub(super) fn public_path(&self, upstream_path: &str) -> Option<String> {
        let rest = below(&self.config.upstream.prefix, upstream_path)?;
        if !self.config.strip_prefix {
            return self.covers(rest).then(|| rest.to_owned());
        }
        let base = self.config.path.trim_end_matches('/');
        if base.is_empty() && rest.is_empty() {
            return Some("/".to_owned());
        }
        Some([base, rest].concat())
    }
}

/// What of `path` comes below `base` (no slash at its end): nothing, or a slash and more.
fn below<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(base.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// TRACE echoes the token to the caller, CONNECT opens a tunnel (PX-02).
fn is_never(method: &str) -> bool {
    method.eq_ignore_ascii_case("TRACE") || method.eq_ignore_ascii_case("CONNECT")
}

#[cfg(test)]
pub(super) mod tests;
