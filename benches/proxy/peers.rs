//! nginx and HAProxy as bare reverse proxies: one worker, connections kept alive on both sides, the same header work
//! (no cookies go up, a bearer token does), no sessions. Everything else is their default, so that what they do is what
//! people run; a default that would make them slower here is said and raised.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::Context as _;

use super::process::Process;
use super::server::{Folder, Logs, Server, Under, find, free_address};

/// As long as the bearer token that Cloakroom attaches.
pub const TOKEN_LENGTH: usize = 1200;

/// nginx before `upstream`.
pub fn nginx(
    folder: &Folder,
    upstream: SocketAddr,
    logs: Logs,
    under: &Under,
) -> anyhow::Result<Server> {
    let program = find(&["/usr/sbin/nginx", "/usr/bin/nginx"])
        .context("nginx is missing: scripts/install-test-needs bench")?;
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    fs::write(&file, nginx_conf(folder.path(), address, upstream, logs))?;
    let mut command = under.command(&program);
    command.arg("-c").arg(&file);
    let mut process = Process::start(command, true)?;
    process.wait_for(|| TcpStream::connect(address).is_ok())?;
    Ok(Server { name: "nginx", process, address })
}

fn nginx_conf(folder: &Path, address: SocketAddr, upstream: SocketAddr, logs: Logs) -> String {
    let dir = folder.display();
    let log = if logs == Logs::On { "/dev/null" } else { "off" };
    let token = "x".repeat(TOKEN_LENGTH);
    // A body of 16 KiB would go through a temporary file with the default of client_body_buffer_size, which is as much.
    format!(
        r#"
user root; master_process off; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log {log};
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d;
  scgi_temp_path {dir}/e;
  keepalive_requests 100000000;
  client_body_buffer_size 64k; client_max_body_size 0;
  large_client_header_buffers 4 16k;
  upstream api {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen {address} backlog=4096;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Cookie "";
    proxy_set_header Authorization "Bearer {token}";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Request-Id $request_id;
    location /api {{ proxy_pass http://api; }}
    location /api/socket {{
      proxy_pass http://api;
      proxy_set_header Connection Upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Cookie "";
      proxy_set_header Authorization "Bearer {token}";
    }}
  }}
}}
"#
    )
}

/// HAProxy before `upstream`.
pub fn haproxy(
    folder: &Folder,
    upstream: SocketAddr,
    logs: Logs,
    under: &Under,
) -> anyhow::Result<Server> {
    let program = find(&["/usr/sbin/haproxy", "/usr/bin/haproxy"])
        .context("HAProxy is missing: scripts/install-test-needs bench")?;
    let address = free_address()?;
    let file = folder.join("haproxy.cfg");
    fs::write(&file, haproxy_cfg(address, upstream, logs))?;
    let mut command = under.command(&program);
    command.arg("-db").arg("-f").arg(&file);
    let mut process = Process::start(command, true)?;
    process.wait_for(|| TcpStream::connect(address).is_ok())?;
    Ok(Server { name: "HAProxy", process, address })
}

fn haproxy_cfg(address: SocketAddr, upstream: SocketAddr, logs: Logs) -> String {
    let (target, format) = match logs {
        Logs::On => ("log stdout format raw local0 info", "log global\n  option httplog"),
        Logs::Off => ("", "no log"),
    };
    let token = "x".repeat(TOKEN_LENGTH);
    format!(
        r#"
global
  nbthread 1
  maxconn 8192
  {target}
defaults
  mode http
  {format}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 10m
  http-reuse always
frontend app
  bind {address} backlog 4096
  http-request del-header Cookie
  http-request set-header Authorization "Bearer {token}"
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Request-Id %[uuid()]
  default_backend api
backend api
  server upstream {upstream}
"#
    )
}
