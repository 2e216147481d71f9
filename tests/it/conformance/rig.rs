//! One row's server, our own server before it, and a browser: a login as far as it goes. It judges nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};
use serde_json::{Value, json};

use super::row::Switch;
use crate::server::setup::hostile_op;
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{HostileOp, Nonces, SigningKeys};
use crate::support::html::forms;
use crate::support::stack::{CLIENT_ID, FETCH, LINK, free_port, load_text};

/// How we are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A secret, and answers in the address.
    Plain,
    FormPost,
    /// `profile = "fapi2"`: pushed requests, tokens bound to a key, a client key for ES256, ID tokens by PS256.
    FapiEs256,
    /// The other way round.
    FapiPs256,
}

pub struct Rig {
    pub op: HostileOp,
    pub app: String,
    pub clock: Clock,
    pub browser: Browser,
    pub profile: Profile,
    running: Running,
}

/// How far a login came.
pub struct Landing {
    /// The last answer of ours.
    pub page: Page,
    /// The authorization request, if there was one.
    pub authorize: Option<String>,
}

impl Profile {
    pub fn is_fapi(self) -> bool {
        matches!(self, Self::FapiEs256 | Self::FapiPs256)
    }

    fn lines(self) -> String {
        let fapi = |key: &Path| {
            format!(
                "profile = \"fapi2\"\nauth_method = \"private_key_jwt\"\nclient_key_file = \"{}\"\n\
                 sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\npushed_requests = \"always\"\n\
                 algorithms = [\"PS256\", \"ES256\"]",
                key.display(),
                KEYS.dpop.display()
            )
        };
        let secret = "client_secret_env = \"CLIENT_SECRET\"";
        match self {
            Self::Plain => secret.to_owned(),
            Self::FormPost => format!("{secret}\nresponse_mode = \"form_post\""),
            Self::FapiEs256 => fapi(&KEYS.es256),
            Self::FapiPs256 => fapi(&KEYS.ps256),
        }
    }
}

/// Keys of the client, and the one that its tokens are bound to.
struct Keys {
    es256: PathBuf,
    ps256: PathBuf,
    dpop: PathBuf,
}

/// Made once per process.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("conformance-keys-{}", std::process::id()));
    let _left_from_before = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let made = |name: &str, options: &[&str]| {
        let file = folder.join(name);
        openssl(&file, options);
        file
    };
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    Keys {
        es256: made("es256.pem", &p256),
        ps256: made("ps256.pem", &rsa),
        dpop: made("dpop.pem", &p256),
    }
});

fn openssl(file: &Path, options: &[&str]) {
    let made = Command::new("openssl").arg("genpkey").args(options).arg("-out").arg(file).output();
    let made = made.expect("openssl is missing: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Signs by `algorithm` under an id that other keys have as well.
fn among_decoys(op: &HostileOp, algorithm: &str) {
    let keys = SigningKeys::shared();
    let key = if algorithm == "ES256" { &keys.ec } else { &keys.rsa };
    let public = |key: &crate::support::hostile_op::SigningKey, algorithm: &str| {
        key.jwk(Some("same"), &json!({ "use": "sig", "alg": algorithm }))
    };
    op.turn(|knobs| {
        knobs.sign_with(key, algorithm, Some("same"));
        knobs.publish(&[
            public(&keys.ed, "EdDSA"),
            public(&keys.other_ec, "ES256"),
            public(&keys.other_rsa, "PS256"),
            json!({ "kty": "oct", "kid": "same", "k": "AAAA", "alg": "HS256" }),
            public(key, algorithm),
        ]);
    });
}

impl Rig {
    /// Starts both, the server first and switched: we read its metadata as soon as we run.
    pub async fn start(profile: Profile, settings: &str, switch: Switch) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let op = hostile_op(clock.clone()).await;
        match profile {
            Profile::FapiEs256 => among_decoys(&op, "PS256"),
            Profile::FapiPs256 => among_decoys(&op, "ES256"),
            Profile::Plain | Profile::FormPost => {}
        }
        if profile.is_fapi() {
            op.turn(|knobs| knobs.dpop = Some(Nonces::Never));
        }
        switch(&op);
        let port = free_port();
        let (issuer, lines) = (&op.issuer, profile.lines());
        let userinfo = if profile.is_fapi() { "" } else { "userinfo = true" };
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\nworkers = 1\n\
             [admin]\nlisten = \"off\"\n\
             [provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\ntimeout = \"1s\"\n{userinfo}\n{lines}\n{settings}\n\
             [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\n[login]\nloop_limit = 100\n\
             [[routes]]\npath = \"/api\"\nupstream = \"{issuer}\"\n"
        );
        let running = server::start(load_text(&text), clock.clone(), Random::system()).unwrap();
        let app = format!("http://localhost:{port}");
        let rig = Self { op, app, clock, browser: Browser::new(), profile, running };
        if profile.is_fapi() {
            rig.know_the_client().await;
        }
        rig
    }

    /// Registers our public key, as we show it.
    async fn know_the_client(&self) {
        let page = Browser::new().get(&format!("{}/.well-known/jwks.json", self.app)).await;
        let shown: Value = serde_json::from_str(&page.body).unwrap();
        let keys = shown["keys"].as_array().unwrap().clone();
        self.op.turn(|knobs| knobs.client_keys = keys);
    }

    /// A login up to the authorization request.
    pub async fn begin(&self) -> Landing {
        let url = format!("{}/login?return_to=/", self.app);
        let page = self.browser.send("GET", &url, &LINK, "").await;
        let target = page.redirect().map(String::from);
        let authorize = target.filter(|url| !url.starts_with(&self.app));
        Landing { page, authorize }
    }

    /// The rest of it: the browser goes there and comes back.
    pub async fn finish(&self, authorize: &str) -> Page {
        let back = self.browser.get(authorize).await.redirect().expect("the way back to the app");
        if self.profile != Profile::FormPost {
            return self.browser.get_from_elsewhere(back.as_str()).await;
        }
        let url = format!("{}/callback", self.app);
        let page = self.post(&Browser::new(), &url, "cross-site", back.query().unwrap_or("")).await;
        let forms = forms(&page.body);
        let [again] = &forms[..] else { return page };
        let fields = again.inputs.iter().map(|input| (input.name.as_str(), input.value.as_str()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post(&self.browser, &url, "same-origin", &body).await
    }

    async fn post(&self, browser: &Browser, url: &str, site: &str, body: &str) -> Page {
        let form = ("content-type", "application/x-www-form-urlencoded");
        browser.send("POST", url, &[form, ("sec-fetch-site", site)], body).await
    }

    /// A whole login, as far as it goes.
    pub async fn log_in(&self) -> Landing {
        let begun = self.begin().await;
        match begun.authorize {
            Some(authorize) => {
                Landing { page: self.finish(&authorize).await, authorize: Some(authorize) }
            }
            None => begun,
        }
    }

    /// A call of the app's page.
    pub async fn fetch(&self, method: &str, path: &str) -> Page {
        self.browser.send(method, &format!("{}{path}", self.app), &FETCH, "").await
    }

    /// Whether the browser has a session here.
    pub async fn is_in(&self) -> bool {
        let page = self.fetch("GET", "/session").await;
        page.body.contains("\"authenticated\":true")
    }

    /// Stops our server.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
