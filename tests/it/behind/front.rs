//! Starts a proxy with the file that is shipped for it. What is replaced must be there, so a file that changes is noticed.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use super::house::House;
use crate::support::nginx::Nginx;
use crate::support::stack::free_port;
use crate::support::{child, tls};

/// Which proxy, or which file of the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    /// The nginx of `deploy/compose`, which has the SPA's files, too.
    Compose,
    Haproxy,
    Caddy,
}

impl Kind {
    /// Where the product's own endpoints are in this recipe.
    pub fn base_path(self) -> &'static str {
        if self == Self::Compose { "/auth" } else { "/" }
    }
}

/// The running proxy; killed when dropped.
pub struct Front {
    /// Where it listens without TLS.
    pub plain: u16,
    _nginx: Option<Nginx>,
    child: Option<(Child, PathBuf)>,
}

impl Front {
    /// Starts it before `house`.
    ///
    /// # Panics
    /// With what is missing or went wrong.
    pub async fn start(kind: Kind, house: &House) -> Self {
        let plain = free_port();
        if matches!(kind, Kind::Nginx | Kind::Compose) {
            let nginx = Nginx::start(house.front, |folder| nginx(kind, house, plain, folder)).await;
            return Self { plain, _nginx: Some(nginx), child: None };
        }
        let folder = std::env::temp_dir().join(format!("cloakroom-front-{plain}"));
        fs::create_dir_all(&folder).unwrap();
        let command = match kind {
            Kind::Caddy => caddy(house, plain, &folder),
            _ => haproxy(house, plain, &folder),
        };
        let child = listening(command, &folder, house.front).await;
        Self { plain, _nginx: None, child: Some((child, folder)) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some((child, folder)) = &mut self.child {
            child::kill(child);
            let _removed = fs::remove_dir_all(folder);
        }
    }
}

/// A shipped file with each of `replaced` in it replaced.
fn shipped(path: &str, replaced: &[(&str, String)]) -> String {
    let mut text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path))
            .unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "{path} does not say {from:?} any more");
        text = text.replace(from, to);
    }
    text
}

fn path(file: &Path) -> String {
    file.display().to_string()
}

fn nginx(kind: Kind, house: &House, plain: u16, folder: &Path) -> String {
    let lines = folder.join("cloakroom-proxy.conf");
    fs::write(&lines, shipped("behind/nginx/cloakroom-proxy.conf", &[])).unwrap();
    let spa = folder.join("spa");
    fs::create_dir_all(spa.join("assets")).unwrap();
    fs::write(spa.join("index.html"), "<!doctype html><title>app</title>").unwrap();
    fs::write(spa.join("app.js"), "let x = 1").unwrap();
    let (file, ports) = match kind {
        Kind::Compose => ("compose/web.conf", ["listen 8080;", "listen 8443 ssl"]),
        _ => ("behind/nginx/cloakroom.conf", ["listen 80;", "listen 443 ssl"]),
    };
    let tls_folder = if kind == Kind::Compose { "/run/secrets" } else { "/etc/nginx/tls" };
    let (certificate, key) = (format!("{tls_folder}/app.pem"), format!("{tls_folder}/app.key"));
    let mut replaced = vec![
        (ports[0], format!("listen 127.0.0.1:{plain};")),
        (ports[1], format!("listen 127.0.0.1:{} ssl", house.front)),
        (certificate.as_str(), path(&tls::file("localhost.pem"))),
        (key.as_str(), path(&tls::file("localhost.key.pem"))),
        ("server cloakroom:8080;", format!("server 127.0.0.1:{};", house.product)),
        ("/etc/nginx/cloakroom-proxy.conf;", format!("{};", path(&lines))),
    ];
    if kind == Kind::Compose {
        replaced.push(("/srv/spa", path(&spa)));
    } else {
        replaced.push(("app.example.com", "localhost".to_owned()));
    }
    shipped(file, &replaced)
}

fn haproxy(house: &House, plain: u16, folder: &Path) -> Command {
    let program = child::find(&["haproxy", "/usr/sbin/haproxy"], "-v")
        .expect("haproxy is missing: run scripts/install-test-needs, or install it");
    let both = folder.join("app.pem");
    let pem = ["localhost.pem", "localhost.key.pem"].map(|name| fs::read(tls::file(name)).unwrap());
    fs::write(&both, pem.concat()).unwrap();
    let text = shipped(
        "behind/haproxy/haproxy.cfg",
        &[
            ("bind :80\n", format!("bind 127.0.0.1:{plain}\n")),
            ("bind :443 ", format!("bind 127.0.0.1:{} ", house.front)),
            ("/etc/haproxy/tls/app.pem", path(&both)),
            ("port 9090", format!("port {}", house.admin)),
            ("cloakroom:8080", format!("127.0.0.1:{}", house.product)),
        ],
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut command = child::command(program);
    command.arg("-db").arg("-f").arg(file);
    command
}

fn caddy(house: &House, plain: u16, folder: &Path) -> Command {
    let program = child::find(&["caddy", "/usr/bin/caddy"], "version")
        .expect("caddy is missing: run scripts/install-test-needs, or install it");
    let text = shipped(
        "behind/caddy/Caddyfile",
        &[
            ("http_port 80\n", format!("http_port {plain}\n")),
            ("https_port 443\n", format!("https_port {}\n", house.front)),
            ("app.example.com {", "localhost {".to_owned()),
            ("/etc/caddy/tls/app.pem", path(&tls::file("localhost.pem"))),
            ("/etc/caddy/tls/app.key", path(&tls::file("localhost.key.pem"))),
            ("cloakroom:8080", format!("127.0.0.1:{}", house.product)),
            ("health_port 9090", format!("health_port {}", house.admin)),
        ],
    );
    let file = folder.join("Caddyfile");
    fs::write(&file, text).unwrap();
    let mut command = child::command(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    // Where it keeps certificates and its own last configuration; not in anybody's home.
    command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    command
}

/// Starts it, and waits until it listens with what it said in case it does not.
async fn listening(mut command: Command, folder: &Path, port: u16) -> Child {
    let said = folder.join("said.log");
    let log = File::create(&said).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = child::spawn(command).unwrap();
    for _ in 0..1_000 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return child;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(said).unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the proxy does not start: {}", fs::read_to_string(said).unwrap());
}
