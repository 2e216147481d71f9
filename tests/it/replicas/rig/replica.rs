//! One `cloakroom serve` as a process of its own, to be killed and started again at the same port.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::child;
use crate::support::port::free_port;
use crate::support::stack::{CLIENT_SECRET, KEY_ONE};

/// The process; killed when dropped.
pub struct Replica {
    pub address: SocketAddr,
    binary: PathBuf,
    file: PathBuf,
    child: Option<Child>,
}

impl Replica {
    /// One that does not run yet: `configuration` is given the address of the app and that of the admin listener, and is
    /// kept in `file`.
    pub fn new(
        binary: &Path,
        file: PathBuf,
        configuration: impl FnOnce(SocketAddr, SocketAddr) -> String,
    ) -> Self {
        let [address, admin] =
            [free_port(), free_port()].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        std::fs::write(&file, configuration(address, admin)).unwrap();
        Self { address, binary: binary.to_owned(), file, child: None }
    }

    /// Starts it; gives when it listens.
    pub async fn start(&mut self) {
        let said = self.file.with_extension("log");
        let log = File::options().create(true).append(true).open(&said).unwrap();
        let mut command = child::command(self.binary.to_str().unwrap());
        command
            .args(["serve", "--config"])
            .arg(&self.file)
            .env("CLIENT_SECRET", CLIENT_SECRET)
            .env("KEY_ONE", KEY_ONE)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = child::spawn(command).unwrap();
        for _ in 0..3_000 {
            let ended = child.try_wait().unwrap();
            let text = || std::fs::read_to_string(&said).unwrap_or_default();
            assert!(ended.is_none(), "a replica ended at its start: {}", text());
            if TcpStream::connect(self.address).await.is_ok() {
                self.child = Some(child);
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        child::kill(&mut child);
        panic!("a replica does not listen");
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it at once (SIGKILL), as a crash or a machine that is gone would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child::kill(&mut child);
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
