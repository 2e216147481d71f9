//! The configuration of `deploy/compose` as a running process: with Redis as it is started there, asked for its health as there.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::compose::{FOLDER, SECRETS, compose, environment, make_secrets};
use super::{Configured, folder, said, text, texts};
use crate::support::child;
use crate::support::port::free_port;
use crate::support::redis::Redis;

/// The process; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        child::kill(&mut self.0);
    }
}

/// Redis with the command line of compose.yaml; a folder of the test's instead of the mounted one.
fn redis(secrets: &str) -> Redis {
    let compose = compose();
    let command = texts(&compose["services"]["redis"]["command"]);
    assert_eq!(command[0], "redis-server");
    let settings: Vec<String> =
        command[1..].iter().map(|word| word.replace(SECRETS, secrets)).collect();
    Redis::start_with(&settings.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn it_runs_with_the_redis_of_the_recipe_and_says_that_it_is_ready() {
    let folder = folder("compose-runs");
    let (_, made) = make_secrets(&folder);
    assert!(made.contains("redis.acl"), "{made}");
    let secrets = format!("{}/", folder.display());
    let redis = redis(&secrets);
    assert!(
        redis.ask(&["GET", "x"]).unwrap().starts_with("NOAUTH"),
        "nobody gets in without a password"
    );
    let password = fs::read_to_string(folder.join("redis")).unwrap();

    let mut env = environment();
    let url = redis.url();
    for (key, value) in [
        ("CLOAKROOM__SERVER__LISTEN", format!("127.0.0.1:{}", free_port())),
        ("CLOAKROOM__ADMIN__LISTEN", format!("127.0.0.1:{}", free_port())),
        ("CLOAKROOM__REDIS__URL", url),
        // Nobody answers there, and nobody has to.
        ("CLOAKROOM__PROVIDER__ISSUER", "http://127.0.0.1:9".to_owned()),
    ] {
        env.insert(key.to_owned(), value);
    }
    // The recipe's own secrets, not the test's.
    let own = ["redis", "cookie-2026-11"].map(|name| (name, fs::read(folder.join(name)).unwrap()));
    for (name, _) in &own {
        fs::remove_file(folder.join(name)).unwrap();
    }
    let configured =
        Configured::new(&folder, &text(&format!("{FOLDER}/cloakroom.toml")), &env, SECRETS);
    for (name, secret) in own {
        fs::write(folder.join(name), secret).unwrap();
    }

    let early = configured.command("ready").output().unwrap();
    assert_eq!(early.status.code(), Some(1));
    assert!(said(&early).starts_with("the admin listener does not answer: "), "{}", said(&early));

    let mut command = configured.command("serve");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(child::spawn(command).unwrap());
    let mut last = String::new();
    for _ in 0..200 {
        let output = configured.command("ready").output().unwrap();
        last = said(&output);
        // It serves before it has heard of Redis; a password or a right that is wrong would stay so.
        if output.status.success() && !last.contains("no_contact") {
            assert!(last.contains("\"ready\":true"), "{last}");
            assert!(!last.contains(password.trim_end()));
            let doctor = configured.command("doctor").output().unwrap();
            let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
            let redis = found.lines().find(|line| line.contains("redis")).expect(&found);
            assert!(!redis.starts_with("FAILED"), "{found}");
            drop(running);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not ready: {last}");
}

#[test]
fn a_process_whose_admin_listener_is_off_cannot_be_asked() {
    let folder = folder("compose-off");
    let mut env = environment();
    env.insert("CLOAKROOM__ADMIN__LISTEN".to_owned(), "off".to_owned());
    let configured =
        Configured::new(&folder, &text(&format!("{FOLDER}/cloakroom.toml")), &env, SECRETS);
    let output = configured.command("ready").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("admin.listen is \"off\""), "{}", said(&output));
}
