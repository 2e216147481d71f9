//! `cloakroom ready`: asks the process of the same configuration, on the same machine, whether it is ready. For health checks in
//! an image that has no shell and no HTTP client. Reads `/readyz`, nothing else; changes nothing.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::ConfigArgs;

/// The admin listener answers from memory: one that takes longer is stuck.
const ANSWERS: Duration = Duration::from_secs(2);
/// Most of an answer that is read.
const MOST: u64 = 64 * 1024;

/// Prints what the process says; exit code 1 unless it is ready.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a health check keeps this")]
pub fn run(args: &ConfigArgs) -> ExitCode {
    let Some(config) = super::load(&args.sources()) else { return ExitCode::FAILURE };
    let Some(listen) = config.admin.listen else {
        eprintln!("admin.listen is \"off\": nobody can be asked");
        return ExitCode::FAILURE;
    };
    match ask(reachable(listen)) {
        Ok((true, said)) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Ok((false, said)) => {
            eprintln!("not ready: {said}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the admin listener does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Who listens everywhere listens on loopback, too.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether it is ready, and what it says about that.
fn ask(address: SocketAddr) -> std::io::Result<(bool, String)> {
    let mut socket = TcpStream::connect_timeout(&address, ANSWERS)?;
    socket.set_read_timeout(Some(ANSWERS))?;
    socket.set_write_timeout(Some(ANSWERS))?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.take(MOST).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.starts_with("HTTP/1.1 200 "), body.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.0.0.0:9090", "127.0.0.1:9090")]
    #[case("[::]:9090", "[::1]:9090")]
    #[case("10.0.0.7:9090", "10.0.0.7:9090")]
    fn a_listener_on_every_interface_is_asked_on_loopback(#[case] listen: &str, #[case] at: &str) {
        assert_eq!(reachable(listen.parse().unwrap()), at.parse().unwrap());
    }
}
