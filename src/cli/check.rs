//! `cloakroom check`: every problem of a configuration at once, or one line per app that says what would run.
//! Opens no socket and asks nobody; that is what a live probe would be for.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::config::{self, AppConfig, Config, Diagnostic, ProviderConfig, Sources};

/// Folders that operating systems keep in memory, or empty at start.
const VOLATILE: [&str; 5] = ["/tmp", "/run", "/var/run", "/dev/shm", "/proc"];

/// Prints the answer on standard output; exit code 1 if there is a problem.
#[expect(clippy::print_stdout, reason = "a person, or an editor, reads this")]
pub fn run(sources: &Sources) -> ExitCode {
    let (text, good) = answer(sources);
    print!("{text}");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What there is to say about a configuration, and whether it is good.
fn answer(sources: &Sources) -> (String, bool) {
    match config::load(sources) {
        Ok(config) => (summary(&config), true),
        Err(problems) => (complaint(&problems), false),
    }
}

fn summary(config: &Config) -> String {
    let mut text = String::new();
    for app in &config.apps {
        line(&mut text, &app_line(app));
        if let Some(warning) = shares_a_secret(app) {
            line(&mut text, &warning);
        }
        if let Some(warning) = forgets_logouts(app).filter(|_| config.redis.is_none()) {
            line(&mut text, &warning);
        }
    }
    text
}

/// A logout that a restart forgets is legal, but nobody should find out by accident (ASVS 7.4.1). With Redis it is there.
fn forgets_logouts(app: &AppConfig) -> Option<String> {
    let why = match &app.session.deny_file {
        None => "session.deny_file is not set: ended sessions are remembered in memory only",
        Some(file) if VOLATILE.iter().any(|folder| file.starts_with(folder)) => {
            "session.deny_file is in a folder that is emptied when the machine starts"
        }
        Some(_) => return None,
    };
    Some(format!(
        "warning: app {}: {why}, so copies of cookies from before a logout work again after a restart; \
         name a file on a disk that survives it, e.g. \"/var/lib/cloakroom/deny\"",
        app.id
    ))
}

fn app_line(app: &AppConfig) -> String {
    format!(
        "ok: app {id} at {url}, endpoints below {base}/, {logins}, {routes}, {keys}, \
         session {idle} idle and {age} in all",
        id = app.id,
        url = app.public_url.origin,
        base = app.base_path,
        logins = logins(app),
        routes = count(app.routes.len(), "route"),
        keys = count(app.session.keys.len(), "cookie key"),
        idle = minutes(app.session.idle_timeout.as_secs()),
        age = minutes(app.session.max_age.as_secs()),
    )
}

/// Where users log in, and as which client.
fn logins(app: &AppConfig) -> String {
    let are_several = app.providers.len() > 1;
    let login = |one: &ProviderConfig| {
        let name = if are_several { format!("{}: ", one.id) } else { String::new() };
        format!("{name}login at {} as {}", one.issuer, one.client_id)
    };
    app.providers.iter().map(login).collect::<Vec<_>>().join(", ")
}

/// Either authorization server could act as this app at the other (CA-07).
fn shares_a_secret(app: &AppConfig) -> Option<String> {
    let (one, other) = app.one_secret_for()?;
    Some(format!(
        "warning: app {}: the providers {one} and {other} have the same client secret, so whoever has it at one of them can act as this \
         app at the other; have one make a new secret",
        app.id
    ))
}

fn complaint(problems: &[Diagnostic]) -> String {
    let mut text = String::new();
    for problem in problems {
        line(&mut text, &problem.to_string());
    }
    let what = count(problems.len(), "problem");
    let closing = format!(
        "{what}: mend each place named above and run `cloakroom check` again; nothing would start."
    );
    line(&mut text, &closing);
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn minutes(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sources(set: &[(&str, &str)]) -> Sources {
        let env = [
            ("CLOAKROOM__PROVIDER__CLIENT_SECRET", "Zk3-nQ9x-canary"),
            ("CLOAKROOM__SESSION__KEYS__0__ID", "2026-11"),
            ("CLOAKROOM__SESSION__KEYS__0__VALUE", "q83vEjRWeJCrze8SNFZ4kAECAwQFBgcICQoLDA0ODxA"),
        ];
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Sources {
            file: None,
            env: env.iter().map(owned).collect::<BTreeMap<_, _>>(),
            set: set.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_good_configuration_is_one_line_per_app_and_what_to_think_of() {
        let set = [
            ("server.public_url", "https://app.example.com"),
            ("provider.issuer", "https://login.example.com"),
            ("provider.client_id", "web"),
            ("routes.0.path", "/api"),
            ("routes.0.upstream", "http://api:8080"),
        ];
        let (text, good) = answer(&sources(&set));
        assert!(good);
        insta::assert_snapshot!(text, @r#"
        ok: app app at https://app.example.com, endpoints below /, login at https://login.example.com as web, 1 route, 1 cookie key, session 30 min idle and 8 h in all
        warning: app app: session.deny_file is not set: ended sessions are remembered in memory only, so copies of cookies from before a logout work again after a restart; name a file on a disk that survives it, e.g. "/var/lib/cloakroom/deny"
        "#);
    }

    #[test]
    fn one_secret_for_two_providers_is_a_warning_and_each_is_named() {
        let answer = |secret| {
            let set = [
                ("server.public_url", "https://app.example.com"),
                ("providers.0.id", "home"),
                ("providers.0.issuer", "https://login.example.com"),
                ("providers.0.client_id", "web"),
                ("providers.1.id", "partner"),
                ("providers.1.issuer", "https://partner.example"),
                ("providers.1.client_id", "w2"),
                ("spa.root", "spa-example/web"),
            ];
            let mut sources = sources(&set);
            sources.env.remove("CLOAKROOM__PROVIDER__CLIENT_SECRET");
            let secrets = [("0", "Zk3-nQ9x-canary-of-home"), ("1", secret)];
            sources.env.extend(secrets.map(|(index, secret)| {
                let name = format!("CLOAKROOM__PROVIDERS__{index}__CLIENT_SECRET");
                (name, secret.to_owned())
            }));
            answer(&sources)
        };
        let (text, good) = answer("another-one-of-partner");
        let logins = "home: login at https://login.example.com as web, partner: login at https://partner.example as w2";
        assert!(good && text.contains(logins) && !text.contains("same client secret"), "{text}");
        let (text, good) = answer("Zk3-nQ9x-canary-of-home");
        let warning =
            "warning: app app: the providers home and partner have the same client secret";
        assert!(good && text.contains(warning) && !text.contains("Zk3"), "{text}");
    }

    // proves: LO-16
    #[test]
    fn a_deny_list_that_a_restart_forgets_is_a_warning_and_no_problem() {
        let answer = |file: Option<&str>| {
            let mut set = vec![
                ("server.public_url", "https://app.example.com"),
                ("provider.issuer", "https://login.example.com"),
                ("provider.client_id", "web"),
                ("spa.root", "spa-example/web"),
            ];
            set.extend(file.map(|file| ("session.deny_file", file)));
            answer(&sources(&set))
        };
        for (file, warns) in [
            (None, Some("is not set")),
            (Some("/tmp/deny"), Some("is emptied")),
            (Some("/var/tmp/deny"), None),
        ] {
            let (text, good) = answer(file);
            assert!(good, "{text}");
            let warning = text.lines().find(|line| line.starts_with("warning: app app: "));
            assert_eq!(warning.is_some(), warns.is_some(), "{text}");
            assert!(warns.is_none_or(|words| text.contains(words)), "{text}");
        }
        let (text, good) = answer(Some("/no/such/folder/deny"));
        assert!(!good && text.contains("session.deny_file: there is no such folder"), "{text}");
    }

    // proves: LO-16
    #[test]
    fn with_redis_no_restart_of_ours_forgets_a_logout() {
        let (text, good) = answer(&sources(&[
            ("server.public_url", "https://app.example.com"),
            ("provider.issuer", "https://login.example.com"),
            ("provider.client_id", "web"),
            ("spa.root", "spa-example/web"),
            ("redis.url", "redis://redis"),
        ]));
        assert!(good && !text.contains("warning"), "{text}");
    }

    #[test]
    fn a_bad_configuration_is_one_line_per_problem_and_a_closing_line() {
        let set = [
            ("server.public_url", "https://app.example.com/"),
            ("provider.isuer", "https://login.example.com"),
            ("provider.client_secret", "Zk3-nQ9x-canary"),
            ("session.idle_timeout", "9h"),
        ];
        let (text, good) = answer(&sources(&set));
        assert!(!good);
        assert!(!text.contains("canary"));
        insta::assert_snapshot!(text, @r#"
        configuration provider.client_id: is missing; write the id of the client registered for this app
        configuration provider.issuer: is missing; write it as the authorization server's metadata does
        --set provider.client_secret: is a secret, and the process list would show it; use the environment, or the `_file` or `_env` form of the key
        --set provider.isuer: unknown key; did you mean `issuer`?
        --set server.public_url: not an origin as browsers write it; write scheme, host and, if not the scheme's own, port in lower case and nothing after them, e.g. "https://app.example.com"
        --set session.idle_timeout: is longer than session.max_age; shorten it, or raise session.max_age
        6 problems: mend each place named above and run `cloakroom check` again; nothing would start.
        "#);
    }
}
