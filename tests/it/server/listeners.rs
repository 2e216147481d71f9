//! Browsers over TLS, with certificates that change while the process serves, and a proxy over a Unix socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::clock::Clock;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::deny_file::folder;
use super::served::{SESSION, Served};
use super::setup::hostile_op;
use crate::support::browser::Browser;
use crate::support::hostile_op::HostileOp;
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::stack::{CLIENT_ID, free_port, write_config};
use crate::support::tls::{ca_file, file};

/// Connects as a browser that asks for the server `name`.
async fn connect(port: u16, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As every browser does.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// The head of the answer to `GET /session`, over a connection that stays open.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), host: &str, more: &str) -> String {
    let request = format!(
        "GET /open/x HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\nsec-fetch-site: same-origin\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"there") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(answer).unwrap()
}

struct Place {
    served: Served,
    api: HostileUpstream,
    port: u16,
    _op: HostileOp,
}

/// A process with these lines in `[server]`, and one route that everybody may call.
async fn start(lines: &str, https: bool) -> Place {
    let op = hostile_op(Clock::system()).await;
    let api = HostileUpstream::answering(ok("there")).await;
    let (port, admin) = (free_port(), free_port());
    let scheme = if https { "https" } else { "http" };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{scheme}://localhost:{port}\"\n{lines}\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n[log]\nformat = \"json\"\n\
         [provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret_env = \"CLIENT_SECRET\"\n\
         [session]\n{SESSION}\n\
         [[routes]]\npath = \"/open\"\nupstream = \"http://{}\"\ntoken = \"none\"\n",
        op.issuer, api.address
    );
    let served = Served::start_at((port, admin), write_config(&text)).await;
    Place { served, api, port, _op: op }
}

fn copy(from: &str, to: &Path) {
    std::fs::copy(file(&format!("{from}.pem")), to.join("cert.pem")).unwrap();
    std::fs::copy(file(&format!("{from}.key.pem")), to.join("key.pem")).unwrap();
}

fn with_tls(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "tls_cert_file = \"{folder}/cert.pem\"\ntls_key_file = \"{folder}/key.pem\"\nhead_timeout = \"1s\""
    )
}

fn reloads(served: &Served, message: &str) -> usize {
    served.log_so_far().matches(message).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_changes_while_connections_go_on() {
    let folder = folder("listener-tls");
    copy("localhost", &folder);
    let place = start(&with_tls(&folder), true).await;
    let host = format!("localhost:{}", place.port);
    let mut first = connect(place.port, "localhost").await.unwrap();
    assert_eq!(first.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = ask(&mut first, &host, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("strict-transport-security:"), "{answer}");
    let forwarded = &place.api.requests()[0];
    assert!(forwarded.contains("x-forwarded-proto: https\r\n"), "{forwarded}");
    assert!(connect(place.port, "elsewhere.example").await.is_err(), "it shows another name");

    copy("elsewhere", &folder);
    place.served.signal("HUP");
    until(|| reloads(&place.served, "\"result\":\"Applied\"") == 1).await;
    assert!(connect(place.port, "localhost").await.is_err());
    let mut second = connect(place.port, "elsewhere.example").await.unwrap();
    ask(&mut second, &host, "").await;
    ask(&mut first, &host, "").await;

    // What nobody could use is not taken: expired, or the key of another one.
    for (cert, key, said) in [
        ("expired", "expired", "server.tls_cert_file: the certificate has expired"),
        ("localhost", "elsewhere", "server.tls_key_file: is not the key of the certificate"),
    ] {
        let before = reloads(&place.served, "reload_refused");
        copy(key, &folder);
        std::fs::copy(file(&format!("{cert}.pem")), folder.join("cert.pem")).unwrap();
        place.served.signal("HUP");
        until(|| reloads(&place.served, "reload_refused") == before + 1).await;
        assert!(place.served.log_so_far().contains(said), "{}", place.served.log_so_far());
        ask(&mut connect(place.port, "elsewhere.example").await.unwrap(), &host, "").await;
    }
    let metrics = Browser::new().get(&format!("{}/metrics", place.served.admin)).await.body;
    let ends = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cloakroom_tls_certificate_ends_seconds "));
    assert!(ends.unwrap().parse::<u64>().unwrap() > 1_900_000_000, "{metrics}");
    place.served.logs();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_no_tls_or_nothing_is_cut_off() {
    let folder = folder("listener-silent");
    copy("localhost", &folder);
    let place = start(&with_tls(&folder), true).await;
    for said in ["", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01"] {
        let mut socket = TcpStream::connect(("127.0.0.1", place.port)).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(ended.is_ok(), "{said:?} is still open");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("HTTP/"), "{said:?}: {answer}");
    }
    place.served.logs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_this_machine_comes_over_a_unix_socket() {
    let path = folder("listener-unix").join("app.sock");
    let lines = format!("unix_socket = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]", path.display());
    let place = start(&lines, false).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let host = format!("localhost:{}", place.port);
    for _ in 0..2 {
        let answer = ask(&mut stream, &host, "x-forwarded-for: 192.0.2.7\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let told = &place.api.requests()[1];
    assert!(told.contains("x-forwarded-for: 192.0.2.7\r\n"), "{told}");
    let mut tcp = TcpStream::connect(("127.0.0.1", place.port)).await.unwrap();
    ask(&mut tcp, &host, "").await;
    place.served.logs();
    assert!(!path.exists(), "it goes with the process");
}
