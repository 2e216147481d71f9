//! What proxies say about the client.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use cloakroom::edge::client_ip::client_ip;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// Whatever `X-Forwarded-For` says: a peer that is no trusted proxy is the client; else the client is the peer or an
/// address that stands in the field, and nothing further left than the first address that is not trusted counts.
pub fn forwarded_headers(data: &[u8]) {
    let lines = super::lines(data);
    assert_eq!(client_ip(STRANGER, &lines, &TRUSTED), STRANGER);
    assert_eq!(client_ip(PEER, &lines, &[]), PEER);
    let client = client_ip(PEER, &lines, &TRUSTED);
    let named = lines.iter().flat_map(|line| line.split(',')).filter_map(address);
    assert!(
        client == PEER || named.into_iter().any(|ip| ip == client),
        "{client} was named by nobody"
    );
    // An attacker controls what stands left of what the first proxy appended: that changes nothing.
    let mut appended = lines.clone();
    appended.push("198.51.100.7");
    assert_eq!(client_ip(PEER, &appended, &TRUSTED).to_string(), "198.51.100.7");
}

static TRUSTED: LazyLock<Vec<Net>> = LazyLock::new(|| {
    vec!["10.0.0.0/8".parse().expect("a net"), "fd00::/8".parse().expect("a net")]
});

type Net = ipnet::IpNet;

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    plain.or_else(with_port).map(|ip| ip.to_canonical())
}

/// Seeds.
pub fn chains() -> Vec<Vec<u8>> {
    super::owned(&[
        "",
        "198.51.100.7",
        "1.2.3.4, 10.0.0.2",
        "10.0.0.3,10.0.0.2\n10.0.0.9",
        "unknown, 10.0.0.2",
        "[fd00::1]:443, ::ffff:10.0.0.4",
        "198.51.100.7:1234",
        "10.0.0.2,,10.0.0.3",
        "_hidden, 10.0.0.2",
    ])
}
