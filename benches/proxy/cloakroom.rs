//! Cloakroom as a server under test: configured as for production, on loopback.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::process::Process;
use super::server::{Folder, Logs, Server, Under, free_address};

pub const CLIENT_ID: &str = "bench";
pub const CLIENT_SECRET: &str = "a-client-secret-of-the-bench-only";
/// 32 bytes, base64url.
const COOKIE_KEY: &str = "Nlu0wJBtXHjSPDaPqzEWkgDNhDAd0KHnEJDPTT6AZLY";

/// What differs between the scenarios.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    pub issuer: &'a str,
    pub upstream: SocketAddr,
    /// Where the app listens.
    pub address: SocketAddr,
    pub logs: Logs,
    /// One worker on a core of its own; else one worker per core.
    pub pinned: bool,
    /// Routes beside `/api`, which every request of the bench takes.
    pub other_routes: usize,
    /// Further lines of the provider.
    pub provider_lines: &'a str,
    /// Further lines of the route `/api`.
    pub route_lines: &'a str,
}

impl Settings<'_> {
    /// The configuration file.
    pub fn text(&self, admin: SocketAddr) -> String {
        let Self { issuer, upstream, address, provider_lines, route_lines, .. } = self;
        let others = (0..self.other_routes).map(|at| {
            format!(
                "[[routes]]\npath = \"/api/service-{at:04}/v1\"\nupstream = \"http://{upstream}\"\n"
            )
        });
        format!(
            r#"
[server]
listen = "{address}"
public_url = "http://localhost:{port}"
{workers}
[admin]
listen = "{admin}"
[log]
level = "{level}"
[provider]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
scopes = ["openid", "profile", "email", "sales"]
{provider_lines}
[session]
keys = [{{ id = "bench", value = "{COOKIE_KEY}" }}]
# A tenth of it is longer than the bench: no activity cookie is written while requests are measured.
idle_timeout = "8h"
max_age = "8h"
[[routes]]
path = "/api"
upstream = "http://{upstream}"
{route_lines}
{others}"#,
            port = address.port(),
            workers = if self.pinned { "workers = 1" } else { "" },
            level = if self.logs == Logs::On { "info" } else { "warn" },
            others = others.collect::<String>(),
        )
    }

    /// Starts it; how long it took to get ready.
    pub fn start(
        &self,
        binary: &Path,
        folder: &Folder,
        under: &Under,
    ) -> anyhow::Result<(Server, Duration)> {
        let admin = free_address()?;
        // Servers with different settings may run side by side.
        let file = folder.join(&format!("cloakroom-{}.toml", admin.port()));
        fs::write(&file, self.text(admin))?;
        let mut command = under.command(binary);
        command.arg("serve").arg("--config").arg(&file);
        let mut process = Process::start(command, self.pinned)?;
        let took = process.wait_for(|| answers(admin, "/readyz"))?;
        Ok((Server { name: "Cloakroom", process, address: self.address }, took))
    }
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
