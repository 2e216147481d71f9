//! `[server]`, `[admin]` and `[log]`: listeners, trusted peers, log lines. Opens no socket.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::certificate::server_certificate;
use super::control::socket;
use super::quantity::{HOUR, MINUTE, duration};
use super::raw::{RawAdmin, RawLog, RawServer};
use super::report::{At, Wrong, every, wrong};
use super::types::{AdminConfig, LogConfig, ServerConfig};

/// `[server]`, without `public_url`, which belongs to the app.
pub(super) fn server(at: &At<'_>, raw: &RawServer) -> Option<ServerConfig> {
    let listen = at.key("listen").take(parse_address(&raw.listen));
    let peers = every(&at.key("trusted_proxies"), &raw.trusted_proxies, |at, text| {
        at.take(parse_peers(text))
    });
    let head = duration(&at.key("head_timeout"), &raw.head_timeout, 1..=MINUTE);
    let keepalive = duration(&at.key("keepalive_timeout"), &raw.keepalive_timeout, 1..=HOUR);
    let write = duration(&at.key("write_timeout"), &raw.write_timeout, 1..=HOUR);
    let shutdown = duration(&at.key("shutdown_timeout"), &raw.shutdown_timeout, 1..=HOUR);
    let tls = server_certificate(at, raw);
    let unix_socket = match &raw.unix_socket {
        Some(text) => socket(&at.key("unix_socket"), text).map(Some),
        None => Some(None),
    };
    Some(ServerConfig {
        listen: listen?,
        tls: tls?,
        unix_socket: unix_socket?,
        workers: raw.workers,
        trusted_proxies: peers?,
        head_timeout: head?,
        keepalive_timeout: keepalive?,
        write_timeout: write?,
        shutdown_timeout: shutdown?,
    })
}

/// `[admin]`; must not take the apps' address.
pub(super) fn admin(
    at: &At<'_>,
    raw: &RawAdmin,
    server: Option<&ServerConfig>,
) -> Option<AdminConfig> {
    let hosts = every(&at.key("hosts"), &raw.hosts, |at, text| at.take(parse_host(text)));
    let at = at.key("listen");
    if raw.listen == "off" {
        return Some(AdminConfig { listen: None, hosts: hosts? });
    }
    let listen = at.take(parse_address(&raw.listen))?;
    let clash = |server: &ServerConfig| {
        let same_ip = server.listen.ip() == listen.ip()
            || server.listen.ip().is_unspecified()
            || listen.ip().is_unspecified();
        same_ip && listen.port() != 0 && server.listen.port() == listen.port()
    };
    if server.is_some_and(clash) {
        return at.fail("server.listen has the same port", "choose another port, or \"off\"");
    }
    Some(AdminConfig { listen: Some(listen), hosts: hosts? })
}

/// `[log]`
pub(super) fn log(at: &At<'_>, raw: &RawLog) -> Option<LogConfig> {
    if raw.level.trim().is_empty() || EnvFilter::try_new(&raw.level).is_err() {
        let mend = "write error, warn, info, debug or trace, or e.g. \"info,cloakroom=debug\"";
        return at.key("level").fail("not a log filter", mend);
    }
    Some(LogConfig { format: raw.format, level: raw.level.clone() })
}

fn parse_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| Wrong {
        problem: "not an address with a port",
        mend: "write an IP address and a port, e.g. \"127.0.0.1:8080\" or \"[::]:8080\"",
    })
}

/// A name as a `Host` field says it, without the port.
fn parse_host(text: &str) -> Result<String, Wrong> {
    let name = text.to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(fits) {
        return wrong("not a host name", "write the name alone, e.g. \"cloakroom.internal\"");
    }
    Ok(name)
}

/// One address, or a CIDR block that is not everybody.
fn parse_peers(text: &str) -> Result<IpNet, Wrong> {
    let one = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    let Ok(net) = text.parse::<IpNet>().or_else(|_| one(text)) else {
        return wrong("not an address or CIDR block", "write e.g. \"10.0.0.7\" or \"10.0.0.0/8\"");
    };
    if net.prefix_len() == 0 {
        return wrong(
            "trusts everybody: any client could choose its own address",
            "name the proxies' addresses",
        );
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.7", Some("10.0.0.7/32"))]
    #[case("10.0.0.0/8", Some("10.0.0.0/8"))]
    #[case("fd00::/8", Some("fd00::/8"))]
    #[case("::1", Some("::1/128"))]
    #[case("0.0.0.0/0", None)]
    #[case("::/0", None)]
    #[case("10.0.0.0/33", None)]
    #[case("proxy.internal", None)]
    #[case("10.0.0.7:80", None)]
    #[case("", None)]
    fn trusted_peers_are_addresses_or_blocks(#[case] text: &str, #[case] expected: Option<&str>) {
        let parsed = parse_peers(text).ok().map(|net| net.to_string());
        assert_eq!(parsed.as_deref(), expected);
    }

    #[rstest]
    #[case("127.0.0.1:8080", true)]
    #[case("[::]:8080", true)]
    #[case("0.0.0.0:0", true)]
    #[case("localhost:8080", false)]
    #[case("127.0.0.1", false)]
    #[case(":8080", false)]
    fn listeners_are_an_address_and_a_port(#[case] text: &str, #[case] good: bool) {
        assert_eq!(parse_address(text).is_ok(), good);
    }
}
