//! A server under test: how it is started, bare or under valgrind, and what all of them need.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Process;

/// A running server.
pub struct Server {
    pub name: &'static str,
    pub process: Process,
    pub address: SocketAddr,
}

/// Whether the servers write a line per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    Off,
    On,
}

/// What a server runs under.
#[derive(Clone, Debug)]
pub enum Under {
    Nothing,
    /// callgrind, which writes what it counted to files that begin with this path.
    Callgrind(PathBuf),
}

impl Under {
    /// The command that runs `program` so.
    pub fn command(&self, program: &Path) -> Command {
        match self {
            Self::Nothing => Command::new(program),
            Self::Callgrind(out) => {
                let mut command = Command::new("valgrind");
                command.args(["--tool=callgrind", "--quiet", "--max-stackframe=8388608"]);
                command.arg(format!("--callgrind-out-file={}", out.display())).arg(program);
                command
            }
        }
    }
}

/// A temporary folder, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    pub fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("cloakroom-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// An address that nobody has at the moment.
pub fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The first of `places` where a program is.
pub fn find(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|program| program.exists())
}
