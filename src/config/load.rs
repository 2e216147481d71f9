//! From sources to a valid configuration, in order: file, overrides, shape, meaning. Later steps run in spite of
//! earlier problems wherever that makes sense, so that one run reports them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::choices::SessionStore;
use super::diagnostic::{Diagnostic, Place};
use super::raw::{RawApp, RawConfig};
use super::report::{At, Report};
use super::schema::{Shape, document};
use super::secrets::read_text;
use super::tree::{Node, parse_file};
use super::types::{AppConfig, Config};
use super::{app, audit, control, layers, redis, server, shape, tracing};

/// The sections that belong to an app, and so stand at the top only when there is one app.
const APP_SECTIONS: [&str; 10] = [
    "app",
    "provider",
    "providers",
    "login",
    "logout",
    "session",
    "guard",
    "limits",
    "routes",
    "spa",
];

/// Where the settings come from; later fields win over earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// The whole environment: `CLOAKROOM__SECTION__KEY`, and the variables that `_env` keys name.
    pub env: BTreeMap<String, String>,
    /// `section.key` and value.
    pub set: Vec<(String, String)>,
}

/// The environment of this process; bytes that are no text become U+FFFD. The only reader of the environment.
pub fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Reads the sources.
///
/// # Errors
/// Every problem there is, in the order of the file. None holds a configured value. While the file's syntax is
/// broken, the settings in it are not judged.
pub fn load(sources: &Sources) -> Result<Config, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let (mut tree, readable) = match read(sources.file.as_deref()) {
        Ok(tree) => (tree, true),
        Err(broken) => {
            problems.extend(broken);
            (Node::table(&Place::Nowhere), false)
        }
    };
    let document = document();
    let root = Shape::root(&document);
    layers::overlay(&mut tree, &sources.env, &sources.set, root, &mut problems);
    shape::check(&mut tree, root, "", &mut problems);
    let raw = serde_path_to_error::deserialize::<_, RawConfig>(tree.to_json());
    let report = Report::new(tree, problems, &sources.env);
    let config = match raw {
        Ok(raw) if readable => config(&report.top(), raw),
        Ok(_) => None,
        // The shape check leaves nothing for this; if it ever does, say where, not what: the value may be secret.
        Err(error) => {
            report.top().key(&error.path().to_string()).fail("cannot be read", "check its type")
        }
    };
    let problems = report.finish();
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

fn read(file: Option<&Path>) -> Result<Node, Vec<Diagnostic>> {
    let Some(path) = file else { return Ok(Node::table(&Place::Nowhere)) };
    let name = path.display().to_string();
    let text = read_text(path).map_err(|error| {
        vec![Diagnostic {
            place: Place::File { file: name.as_str().into(), line: 1, column: 1 },
            key: String::new(),
            problem: format!("the file cannot be read: {error}"),
            mend: "check the path and the mode of the configuration file".to_owned(),
        }]
    })?;
    parse_file(&text, &name)
}

fn config(at: &At<'_>, raw: RawConfig) -> Option<Config> {
    let server = server::server(&at.key("server"), &raw.server);
    let admin = server::admin(&at.key("admin"), &raw.admin, server.as_ref());
    let control = control::control(&at.key("control"), &raw.control);
    let log = server::log(&at.key("log"), &raw.log);
    let audit = audit::audit(&at.key("audit"), &raw.audit, &raw.tracing.service_name);
    let tracing = tracing::tracing(&at.key("tracing"), &raw.tracing);
    let redis = match &raw.redis {
        Some(raw) => redis::redis(&at.key("redis"), raw).map(Some),
        None => Some(None),
    };
    let (is_alone, is_list) = (raw.redis.is_none(), at.key("apps").is_written());
    if is_alone && raw.server.replicas > 1 {
        // They would redeem one refresh token twice, and revive sessions that ended at another.
        let mend = "add [redis] with its url, or set replicas = 1 and run one process";
        let problem = "several processes have no [redis] to agree through";
        at.key("server.replicas").fail::<()>(problem, mend);
    }
    let apps = apps(at, raw)?;
    for (index, app) in apps.iter().enumerate() {
        if is_alone && app.session.store == SessionStore::Redis {
            let at = if is_list { at.key("apps").item(index) } else { at.clone() };
            let mend = "write [redis] with its url, or store = \"cookie\"";
            at.key("session.store").fail::<()>("there is no [redis] to store sessions in", mend);
        }
    }
    Some(Config {
        server: server?,
        admin: admin?,
        control: control?,
        log: log?,
        audit: audit?,
        tracing: tracing?,
        redis: redis?,
        apps,
    })
}

fn apps(at: &At<'_>, raw: RawConfig) -> Option<Vec<AppConfig>> {
    if !at.key("apps").is_written() {
        let app = RawApp {
            public_url: raw.server.public_url,
            app: raw.app,
            provider: raw.provider,
            providers: raw.providers,
            login: raw.login,
            logout: raw.logout,
            session: raw.session,
            guard: raw.guard,
            limits: raw.limits,
            routes: raw.routes,
            spa: raw.spa,
        };
        return Some(vec![app::app(at, &at.key("server.public_url"), &app)?]);
    }
    for section in APP_SECTIONS {
        if at.key(section).is_written() {
            let mend = "move it into an entry of [[apps]], or remove [[apps]]";
            at.key(section).fail::<()>("stands beside [[apps]]", mend);
        }
    }
    if raw.server.public_url.is_some() {
        let mend = "write public_url in every entry of [[apps]]";
        at.key("server.public_url").fail::<()>("stands beside [[apps]]", mend);
    }
    let list = at.key("apps");
    if raw.apps.is_empty() {
        return list.missing("write at least one app");
    }
    app::distinct(&list, &raw.apps, raw.server.shared_origin);
    super::report::every(&list, &raw.apps, |at, raw| app::app(at, &at.key("public_url"), raw))
}
