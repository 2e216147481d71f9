//! `tokens`: what a request costs where the authorization server is asked about the token (a phantom token, RFC 7662) beside one
//! with the login's token. It is asked once; what is measured is the look at what it said.

use std::net::SocketAddr;

use super::cloakroom::Settings;
use super::in_turns;
use super::server::Under;
use super::stand::Stand;

/// Measures both in turns and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    println!("tokens: GET, 1 KiB of JSON, with the login's token and with one that is asked about");
    let plain = stand.cloakroom(&stand.settings(), &Under::Nothing)?;
    let provider = provider_lines(stand);
    let address = SocketAddr::from(([127, 0, 0, 2], plain.address.port()));
    let asked = stand.cloakroom(&asking(stand, &provider, address), &Under::Nothing)?;
    in_turns::compare(stand, [("the login's token", &plain), ("introspected", &asked)])?;
    stand.check_tokens()
}

/// The settings of a server that asks about the token, at `address`.
pub fn asking<'a>(stand: &'a Stand, provider: &'a str, address: SocketAddr) -> Settings<'a> {
    let route_lines = "token = \"introspect\"\ntoken_cache = \"1h\"";
    Settings { address, provider_lines: provider, route_lines, ..stand.settings() }
}

/// Who is asked: the upstream, which says that every token is good.
pub fn provider_lines(stand: &Stand) -> String {
    let upstream = stand.upstream.address;
    format!("introspection = \"json\"\nintrospection_endpoint = \"http://{upstream}/introspect\"")
}
