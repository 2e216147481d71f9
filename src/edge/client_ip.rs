//! Decides which address a request came from. `X-Forwarded-For` is believed from named proxies only, and only as far
//! back as the chain of named proxies reaches (PX-06, PX-23).

use std::net::IpAddr;

use ipnet::IpNet;

/// The client's address: `peer` itself, unless it is a trusted proxy; then the nearest address in `forwarded` (all
/// `X-Forwarded-For` fields, in order) that is not a trusted proxy.
pub fn client_ip(peer: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |addr: IpAddr| trusted.iter().any(|net| net.contains(&addr.to_canonical()));
    let mut client = peer.to_canonical();
    let mut chain = forwarded.iter().flat_map(|line| line.split(',')).rev();
    while is_trusted(client) {
        match chain.next().and_then(parse) {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

/// An address with or without brackets and port; anything else ends the chain.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let addr = text.parse().or_else(|_| text.parse().map(|addr: std::net::SocketAddr| addr.ip()));
    addr.ok().map(|addr: IpAddr| addr.to_canonical())
}
