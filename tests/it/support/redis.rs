//! Debian's `redis-server` as a child process with a port and a folder of its own, to be killed, paused and started again
//! in the middle of things. Stays on loopback.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::child;
use super::port::free_port;

/// Keeps nothing: a restart is a loss of everything.
pub const FORGETFUL: [&str; 4] = ["--save", "", "--appendonly", "no"];
/// Keeps every write that it has answered.
pub const LASTING: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
/// How long [`Redis::ask`] waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The server; killed when dropped.
pub struct Redis {
    address: SocketAddr,
    folder: PathBuf,
    settings: Vec<String>,
    /// None between [`Redis::kill`] and [`Redis::restart`].
    child: Option<Child>,
}

impl Redis {
    /// Starts one that keeps nothing over a restart.
    ///
    /// # Panics
    /// With what is missing or went wrong.
    pub fn start() -> Self {
        Self::start_with(&FORGETFUL)
    }

    /// Starts one with these command-line settings, which stay over restarts.
    pub fn start_with(settings: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("cloakroom-redis-{port}"));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut redis = Self { address, folder, settings, child: None };
        redis.restart();
        redis
    }

    /// `redis://127.0.0.1:PORT/0`
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Kills it at once, as a crash would. Its port refuses connections from now on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child::kill(&mut child);
        }
    }

    /// Kills it if it runs, and starts it again at the same port with what it kept; gives when it answers.
    pub fn restart(&mut self) {
        self.kill();
        let program = child::find(&["redis-server", "/usr/bin/redis-server"], "--version")
            .expect("redis-server is missing: run scripts/install-test-needs, or install it");
        let said = self.folder.join("said.log");
        let mut command = child::command(program);
        command
            .args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()])
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(File::create(&said).expect("a file for what it says"))
            .stderr(Stdio::null());
        let mut child = child::spawn(command).expect("redis-server runs");
        for _ in 0..1_000 {
            let ended = child.try_wait().expect("its state");
            assert!(ended.is_none(), "{}", fs::read_to_string(&said).unwrap_or_default());
            // With a password it answers, too, though not as asked.
            if self.ask(&["PING"]).is_ok_and(|said| said == "PONG" || said.starts_with("NOAUTH")) {
                self.child = Some(child);
                return;
            }
            sleep(Duration::from_millis(10));
        }
        child::kill(&mut child);
        panic!("redis-server does not answer: {}", fs::read_to_string(&said).unwrap_or_default());
    }

    /// Stops it in its tracks: connections stay and new ones are accepted by the system, but nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends one command on a connection of its own: the text of a simple answer, number, string or error; an array is
    /// its length.
    pub fn ask(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut lines = vec![format!("*{}", words.len())];
        for word in words {
            lines.extend([format!("${}", word.len()), (*word).to_owned()]);
        }
        stream.write_all((lines.join("\r\n") + "\r\n").as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let line = line.trim_end();
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        // A length of -1 is nothing, which is an empty text here.
        let Some(length) = (kind == "$").then(|| rest.parse::<usize>().unwrap_or(0)) else {
            return Ok(rest.to_owned());
        };
        let mut value = vec![0; length];
        answer.read_exact(&mut value)?;
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    fn signal(&self, signal: Signal) {
        child::signal(self.child.as_ref().expect("a running redis-server"), signal);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

fn can_be_killed_paused_and_started_again(mut redis: Redis, kept: &str) {
    assert!(redis.url().starts_with("redis://127.0.0.1:"), "{}", redis.url());
    assert_eq!(redis.ask(&["SET", "coat", "here"]).unwrap(), "OK");
    assert_eq!(redis.ask(&["GET", "coat"]).unwrap(), "here");
    redis.pause();
    redis.ask(&["GET", "coat"]).unwrap_err();
    redis.resume();
    assert_eq!(redis.ask(&["GET", "coat"]).unwrap(), "here");
    redis.kill();
    redis.ask(&["PING"]).unwrap_err();
    redis.restart();
    assert_eq!(redis.ask(&["GET", "coat"]).unwrap(), kept);
    let folder = redis.folder.clone();
    drop(redis);
    assert!(!folder.exists());
}

#[test]
fn a_redis_that_keeps_nothing_starts_empty_again() {
    can_be_killed_paused_and_started_again(Redis::start(), "");
}

#[test]
fn a_lasting_redis_still_has_what_it_answered() {
    can_be_killed_paused_and_started_again(Redis::start_with(&LASTING), "here");
}

#[test]
fn redis_takes_settings_of_the_test() {
    let redis = Redis::start_with(&["--save", "", "--requirepass", "of-the-test-only"]);
    assert!(redis.ask(&["GET", "coat"]).unwrap().starts_with("NOAUTH"));
}
