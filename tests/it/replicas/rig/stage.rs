//! Everything that runs: authorization server, gates, API, Redis, two replicas, nginx. All on loopback, all ends with it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::dev::{API_AUDIENCE, DevStack, DevStackOptions};
use cloakroom::secret::{Random, Secret};
use serde_json::{Value, json};
use url::Url;

use super::api::{Api, Issued};
use super::front::Front;
use super::gate::Gate;
use super::replica::Replica;
use crate::support::browser::Browser;
use crate::support::nginx::Nginx;
use crate::support::oidc_provider::OidcProvider;
use crate::support::port::free_port;
use crate::support::redis::{LASTING, Redis};
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET};

const REPLICAS: usize = 2;
/// The API's name as a resource.
const RESOURCE: &str = "https://api.example.com";
/// Contact with Redis lost for longer is an outage.
pub const STALE_AFTER: Duration = Duration::from_secs(2);

/// How the stage is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The program under test.
    pub binary: PathBuf,
    /// npm `oidc-provider`, or else the embedded authorization server, which is faster.
    pub certified: bool,
    /// Seconds that an access token lives.
    pub token_life: u64,
    /// Whether the replicas share a Redis.
    pub redis: bool,
    /// `session.store`: `cookie`, or `redis`.
    pub store: &'static str,
}

/// See the module.
pub struct Stage {
    pub wish: Wish,
    pub issuer: String,
    pub front: Front,
    pub gate: Gate,
    pub api: Api,
    pub redis: Option<Redis>,
    pub replicas: Vec<Replica>,
    _nginx: Nginx,
    _authorization_server: AuthorizationServer,
    folder: Folder,
}

/// Held so that it runs.
#[expect(dead_code, reason = "dropping them stops them")]
enum AuthorizationServer {
    Certified(OidcProvider),
    Embedded(DevStack),
}

struct Folder(PathBuf);

impl Stage {
    /// Starts it all.
    pub async fn start(wish: Wish) -> Self {
        let port = free_port();
        let origin = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let (server, issuer) = authorization_server(&origin, &wish).await;
        let metadata = json_of(&format!("{issuer}/.well-known/openid-configuration")).await;
        let keys = json_of(metadata["jwks_uri"].as_str().unwrap()).await;
        let audience = if wish.certified { RESOURCE } else { API_AUDIENCE };
        let counted = Issued {
            issuer: issuer.clone(),
            audience: audience.to_owned(),
            keys: serde_json::from_value(keys).unwrap(),
        };
        let api = Api::start(counted).await;
        let gate = Gate::start(metadata["token_endpoint"].as_str().unwrap(), REPLICAS).await;
        let redis = wish.redis.then(|| Redis::start_with(&LASTING));
        let folder = Folder(std::env::temp_dir().join(format!("cloakroom-rig-{port}")));
        fs::create_dir_all(&folder.0).unwrap();
        let mut replicas = Vec::new();
        for number in 0..REPLICAS {
            let file = folder.0.join(format!("replica-{number}.toml"));
            let parts = Parts {
                origin: &origin,
                issuer: &issuer,
                gate: gate.url(number),
                api: api.address,
            };
            let text = |app, admin| parts.configuration((app, admin), redis.as_ref(), &wish);
            let mut replica = Replica::new(&wish.binary, file, text);
            replica.start().await;
            replicas.push(replica);
        }
        let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.address).collect();
        let nginx = Nginx::start(port, |_| round_robin(port, &addresses)).await;
        Self {
            wish,
            issuer,
            front: Front::new(nginx.address, origin),
            gate,
            api,
            redis,
            replicas,
            _nginx: nginx,
            _authorization_server: server,
            folder,
        }
    }

    /// Past nginx.
    pub fn replica(&self, number: usize) -> Front {
        self.front.at(self.replicas[number].address)
    }

    /// What the replicas have logged, warnings and worse. It holds no secrets: the canary test sees to that.
    pub fn logged(&self) -> String {
        let read = |number| fs::read_to_string(self.folder.0.join(format!("replica-{number}.log")));
        (0..REPLICAS).filter_map(|number| read(number).ok()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

async fn authorization_server(origin: &Url, wish: &Wish) -> (AuthorizationServer, String) {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if wish.certified {
        let server = OidcProvider::start(&json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "redirect_uri": format!("{origin}callback"),
            "post_logout_redirect_uri": format!("{origin}logged-out"),
            "backchannel_logout_uri": format!("{origin}backchannel-logout"),
            "rotate": true, "resource": RESOURCE, "access_token_ttl": wish.token_life,
        }))
        .await;
        let issuer = server.issuer.clone();
        return (AuthorizationServer::Certified(server), issuer);
    }
    let options = DevStackOptions {
        issuer_listen: loopback,
        api_listen: loopback,
        redirect_uri: format!("{origin}callback"),
        post_logout_redirect_uri: format!("{origin}logged-out"),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::from(CLIENT_SECRET),
        rotate: true,
        consent: false,
        access_token_ttl: Duration::from_secs(wish.token_life),
        key_file: None,
    };
    let server = cloakroom::dev::start(options, Clock::system(), Random::system()).await.unwrap();
    let issuer = server.issuer.clone();
    (AuthorizationServer::Embedded(server), issuer)
}

async fn json_of(url: &str) -> Value {
    serde_json::from_str(&Browser::new().get(url).await.body).expect("JSON")
}

/// What a replica is told of the others.
struct Parts<'a> {
    origin: &'a Url,
    issuer: &'a str,
    gate: String,
    api: SocketAddr,
}

impl Parts<'_> {
    fn configuration(
        &self,
        (app, admin): (SocketAddr, SocketAddr),
        redis: Option<&Redis>,
        wish: &Wish,
    ) -> String {
        let Self { origin, issuer, gate, api } = self;
        let origin = origin.as_str().trim_end_matches('/');
        let stale_after = STALE_AFTER.as_secs();
        let shared = redis.map_or(String::new(), |redis| {
            format!("[redis]\nurl = \"{}\"\nstale_after = \"{stale_after}s\"", redis.url())
        });
        let store = redis.map_or(String::new(), |_| format!("store = \"{}\"", wish.store));
        format!(
            r#"
[server]
listen = "{app}"
public_url = "{origin}"
workers = 2
[admin]
listen = "{admin}"
[log]
level = "warn"
[provider]
issuer = "{issuer}"
token_endpoint = "{gate}"
client_id = "{CLIENT_ID}"
client_secret_env = "CLIENT_SECRET"
scopes = ["openid", "profile", "email", "sales"]
[login]
loop_limit = 100
loop_window = "1s"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
claims = ["sub"]
refresh_before = "1s"
{store}
{shared}
[[routes]]
path = "/api"
upstream = "http://{api}"
"#
        )
    }
}

/// nginx's own defaults, but that a replica which failed is asked again at once: it is up again soon. Its answer heads are
/// larger than nginx expects.
fn round_robin(port: u16, replicas: &[SocketAddr]) -> String {
    let servers: Vec<String> =
        replicas.iter().map(|replica| format!("server {replica} max_fails=0;")).collect();
    let servers = servers.join(" ");
    format!(
        r"
  upstream replicas {{ {servers} }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    large_client_header_buffers 4 32k;
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection '';
      proxy_buffer_size 32k;
      proxy_buffers 8 32k;
    }}
  }}"
    )
}
