//! `cloakroom dev`: everything at once on this machine, no configuration.
//! The authorization server lives on another *site* (`127.0.0.1`) than the app (`localhost`), as in production.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::Clock;
use crate::config::{Config, Sources, environment, load};
use crate::dev::{DevStack, DevStackOptions, mint_token, start};
use crate::secret::{Random, Secret};
use crate::server::{self, Signals};
use crate::telemetry;

/// Options of `cloakroom dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Sign in as alice or bob, one click, no password.\n\nExamples:\n  \
    cloakroom dev --spa ../app/dist --api http://localhost:3000\n  \
    cloakroom dev --spa http://localhost:5173          your dev server, hot reload included\n  \
    cloakroom dev --issuer https://login.example.com --client-id web --client-secret-file secret.txt\n\n\
    Keys are made once and kept in ~/.local/state/cloakroom (mode 0600).")]
pub struct DevArgs {
    #[command(subcommand)]
    command: Option<DevCommand>,
    /// Port of the app; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Your own SPA: a folder with its files, or the URL of your dev server.
    #[arg(long, value_name = "DIR|URL")]
    spa: Option<String>,
    /// Your own API: `/api` goes there instead of to the demo API.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// A real authorization server instead of the built-in one; needs --client-id and --client-secret-file.
    #[arg(long, value_name = "URL", requires = "client_id", requires = "client_secret_file")]
    issuer: Option<String>,
    /// The client registered at --issuer.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file that holds the client's secret.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// How long the built-in server's access tokens live.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    access_token_ttl: u64,
    /// Let the built-in server rotate refresh tokens and end the grant on reuse.
    #[arg(long)]
    rotate: bool,
    /// Let the built-in server ask for consent.
    #[arg(long)]
    consent: bool,
}

#[derive(Debug, clap::Subcommand)]
enum DevCommand {
    /// Print a mock access token that the dev stack's key signs, for API developers.
    #[command(
        after_help = "Example:\n  curl -H \"Authorization: Bearer $(cloakroom dev token)\" http://localhost:3000/orders"
    )]
    Token {
        /// The user.
        #[arg(long, default_value = "alice")]
        sub: String,
        /// The scopes, separated by spaces.
        #[arg(long, default_value = "sales")]
        scope: String,
        /// How long it lives.
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        ttl: u64,
    },
}

/// Runs the dev stack until a signal ends it.
#[expect(clippy::print_stderr, reason = "a person reads this")]
pub fn run(args: DevArgs) -> ExitCode {
    let outcome = match &args.command {
        Some(DevCommand::Token { sub, scope, ttl }) => print_token(sub, scope, *ttl),
        None => serve(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the token is the command's output")]
fn print_token(sub: &str, scope: &str, ttl: u64) -> anyhow::Result<()> {
    let key = state_dir()?.join("dev-key.pk8");
    let ttl = Duration::from_secs(ttl);
    println!("{}", mint_token(sub, scope, ttl, Some(&key), &Clock::system(), &Random::system())?);
    Ok(())
}

fn serve(args: &DevArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let port = free_port(args.port)?;
        let app = format!("http://localhost:{port}");
        let stack = stack(args, &app).await?;
        let config = configuration(args, &app, port, &stack)?;
        let _logs = telemetry::init_logs(&config.log, None);
        let signals = Signals::new().context("signals cannot be received")?;
        let running = server::start(config, Clock::system(), Random::system())?;
        announce(args, &app, &stack.issuer);
        running.finished(signals).await.context("the server stopped")
    })
}

/// What the app needs to know of the parts beside it.
struct Parts {
    issuer: String,
    api: String,
    client_id: String,
    secret: Secret<String>,
    /// The built-in servers; they run as long as this lives.
    _running: DevStack,
}

async fn stack(args: &DevArgs, app: &str) -> anyhow::Result<Parts> {
    let random = Random::system();
    let (client_id, secret) = match (&args.client_id, &args.client_secret_file) {
        (Some(id), Some(file)) => {
            let secret = std::fs::read_to_string(file).with_context(|| {
                format!("cannot read the client secret from {}", file.display())
            })?;
            (id.clone(), secret.trim_end().to_owned())
        }
        _ => ("cloakroom-dev".to_owned(), random.token::<32>()),
    };
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let built_in = start(
        DevStackOptions {
            issuer_listen: loopback,
            api_listen: loopback,
            redirect_uri: format!("{app}/callback"),
            post_logout_redirect_uri: format!("{app}/logged-out"),
            client_id: client_id.clone(),
            client_secret: Secret::new(secret.clone()),
            rotate: args.rotate,
            consent: args.consent,
            access_token_ttl: Duration::from_secs(args.access_token_ttl),
            key_file: Some(state_dir()?.join("dev-key.pk8")),
        },
        Clock::system(),
        random,
    )
    .await?;
    Ok(Parts {
        issuer: args.issuer.clone().unwrap_or_else(|| built_in.issuer.clone()),
        api: args.api.clone().unwrap_or_else(|| format!("http://{}", built_in.api_addr)),
        client_id,
        secret: Secret::new(secret),
        _running: built_in,
    })
}

/// The dev configuration goes through the same loader as everybody's, so that its rules hold here too.
fn configuration(args: &DevArgs, app: &str, port: u16, parts: &Parts) -> anyhow::Result<Config> {
    let spa = match &args.spa {
        Some(url) if url.starts_with("http") => format!("dev_server = {url:?}"),
        Some(folder) => format!("root = {folder:?}\nrelist = true"),
        None => format!("root = {:?}\nrelist = true", example_spa()?.display().to_string()),
    };
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "{app}"
workers = 2
[admin]
listen = "127.0.0.1:0"
[log]
format = "pretty"
[app]
id = "dev"
[provider]
issuer = "{issuer}"
client_id = "{client}"
client_secret_env = "CLOAKROOM_DEV_CLIENT_SECRET"
scopes = ["openid", "profile", "email"{demo_scope}]
[session]
keys = [{{ id = "dev", env = "CLOAKROOM_DEV_COOKIE_KEY" }}]
claims = ["sub", "name", "email", "region"]
{routes}
[spa]
{spa}
"#,
        issuer = parts.issuer,
        client = parts.client_id,
        routes = routes(parts.api.trim_end_matches('/')),
        demo_scope = if args.issuer.is_some() { "" } else { ", \"sales\"" },
    );
    let file = state_dir()?.join(format!("dev-{port}.toml"));
    std::fs::write(&file, text)?;
    let mut env: BTreeMap<String, String> = environment();
    env.insert("CLOAKROOM_DEV_CLIENT_SECRET".to_owned(), parts.secret.expose().clone());
    env.insert("CLOAKROOM_DEV_COOKIE_KEY".to_owned(), dev_cookie_key()?);
    let loaded = load(&Sources { file: Some(file.clone()), env, set: Vec::new() });
    std::fs::remove_file(file)?;
    loaded.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// What the demo API offers, or one of the user's own at the same paths.
fn routes(api: &str) -> String {
    format!(
        r#"[[routes]]
path = "/api"
upstream = "{api}/api"
strip_prefix = true
websocket = true
[[routes]]
path = "/api/events"
upstream = "{api}/api/events"
strip_prefix = true
header_free = true
[[routes]]
path = "/api/download"
upstream = "{api}/api/download"
strip_prefix = true
header_free = true
fetch_dest = ["document", "image"]
[[routes]]
path = "/public"
upstream = "{api}/public"
strip_prefix = true
token = "none""#
    )
}

/// One cookie key per machine, mode 0600, so that a restart of the dev stack logs nobody out.
fn dev_cookie_key() -> anyhow::Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = state_dir()?.join("dev-cookie.key");
    if let Ok(key) = std::fs::read_to_string(&file) {
        return Ok(key.trim_end().to_owned());
    }
    let key = Random::system().token::<32>();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&file)?.write_all(key.as_bytes())?;
    Ok(key)
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn state_dir() -> anyhow::Result<PathBuf> {
    let base = match (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
        (Some(state), _) if !state.is_empty() => PathBuf::from(state),
        (_, Some(home)) => Path::new(&home).join(".local/state"),
        _ => bail!("neither XDG_STATE_HOME nor HOME is set: there is no place for the dev keys"),
    };
    let dir = base.join("cloakroom");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The example SPA beside the working folder, or where this binary was built.
fn example_spa() -> anyhow::Result<PathBuf> {
    let candidates = [
        PathBuf::from("spa-example/web"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("spa-example/web"),
    ];
    let found = candidates.into_iter().find(|folder| folder.join("index.html").is_file());
    found.context("the example SPA is not here: run this in the source folder, or give --spa DIR")
}

fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .with_context(|| format!("port {wanted} is in use; choose another with --port"))?;
    Ok(listener.local_addr()?.port())
}

#[expect(clippy::print_stdout, reason = "a person, or a script, reads this")]
fn announce(args: &DevArgs, app: &str, issuer: &str) {
    if std::io::stdout().is_terminal() {
        let users = if args.issuer.is_some() {
            ""
        } else {
            "\n  Users: alice, bob (one click, no password)"
        };
        println!("\n  Open   {app}\n  Issuer {issuer}{users}\n  Stop   Ctrl-C\n");
    } else {
        println!("ready {}", serde_json::json!({ "app": app, "issuer": issuer }));
    }
}
