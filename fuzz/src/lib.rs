//! What must hold for whatever an attacker sends, one function per target. Each panics when it does not hold. All go
//! through the crate's public functions; libFuzzer and the bounded driver (`driver.rs`) call the same ones.

mod cookies;
mod edges;
mod messages;
mod paths;

pub use cookies::{chunk_joining, cookie_opening};
pub use edges::forwarded_headers;
pub use messages::messages;
pub use paths::{return_target, route_matching};

/// A target: its name, its check, and inputs worth mutating.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "cookie_opening", run: cookie_opening, seeds: cookies::jars },
    Target { name: "chunk_joining", run: chunk_joining, seeds: cookies::orders },
    Target { name: "return_target", run: return_target, seeds: paths::return_targets },
    Target { name: "route_matching", run: route_matching, seeds: paths::paths },
    Target { name: "forwarded_headers", run: forwarded_headers, seeds: edges::chains },
    Target { name: "messages", run: messages, seeds: messages::wires },
];

/// Input lines as text: what the HTTP parser lets through of a header value.
fn lines(data: &[u8]) -> Vec<&str> {
    data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).collect()
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
