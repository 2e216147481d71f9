//! `deploy/kubernetes`: each overlay put together as kustomize would, as far as these files use kustomize. The cluster's own schema is
//! not here; docs/kubernetes.md says how it was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::{
    Configured, folder, list, port, root, said, seconds, secret_files, text, texts, toml,
    variables, yaml,
};
use crate::support::browser::Browser;
use crate::support::stack::{Setup, Stack};

pub const BASE: &str = "deploy/kubernetes/base";
const SECRETS: &str = "/run/secrets/cloakroom/";

/// An overlay with what it builds on.
pub struct Overlay {
    pub name: &'static str,
    /// By kind and name, patches not applied.
    pub objects: BTreeMap<(String, String), Value>,
    patches: Vec<Value>,
    pub env: BTreeMap<String, String>,
    replicas: u64,
}

impl Overlay {
    pub fn all() -> [Self; 2] {
        ["staging", "production"].map(Self::read)
    }

    fn read(name: &'static str) -> Self {
        let here = format!("deploy/kubernetes/overlays/{name}");
        let (base, own) = (
            yaml(&format!("{BASE}/kustomization.yaml")),
            yaml(&format!("{here}/kustomization.yaml")),
        );
        let mut objects = BTreeMap::new();
        let mut files: Vec<String> =
            texts(&base["resources"]).iter().map(|file| format!("{BASE}/{file}")).collect();
        let added = texts(&own["resources"]).into_iter().filter(|file| *file != "../../base");
        files.extend(added.map(|file| format!("{here}/{file}")));
        for file in files {
            let object = yaml(&file);
            let names = [&object["kind"], &object["metadata"]["name"]];
            let [kind, name] = names.map(|name| name.as_str().unwrap().to_owned());
            assert!(objects.insert((kind, name), object).is_none(), "{file}: twice");
        }
        let patches = list(&own["patches"]).into_iter();
        let patches = patches.map(|one| yaml(&format!("{here}/{}", one["path"].as_str().unwrap())));
        let mut env = variables(&format!("{BASE}/cloakroom.env"));
        env.extend(variables(&format!("{here}/cloakroom.env")));
        let replicas = own["replicas"][0]["count"].as_u64().unwrap();
        Self { name, objects, patches: patches.collect(), env, replicas }
    }

    pub fn object(&self, kind: &str) -> &Value {
        let key = (kind.to_owned(), "cloakroom".to_owned());
        self.objects.get(&key).unwrap_or_else(|| panic!("{}: no {kind}", self.name))
    }

    pub fn pod(&self) -> &Value {
        &self.object("Deployment")["spec"]["template"]["spec"]
    }

    /// The kind of rollout, with what a patch says about it.
    fn strategy(&self) -> &str {
        let objects = [self.object("Deployment")].into_iter().chain(&self.patches);
        objects
            .filter_map(|object| object["spec"]["strategy"]["type"].as_str())
            .next_back()
            .unwrap()
    }

    fn has_redis(&self) -> bool {
        self.env.contains_key("CLOAKROOM__REDIS__URL")
    }

    fn configured(&self) -> Configured {
        let folder = folder(&format!("kubernetes-{}", self.name));
        Configured::new(&folder, &text(&format!("{BASE}/cloakroom.toml")), &self.env, SECRETS)
    }
}

pub fn config() -> Value {
    toml(&format!("{BASE}/cloakroom.toml"))
}

fn container(pod: &Value) -> &Value {
    let containers = list(&pod["containers"]);
    assert_eq!(containers.len(), 1);
    containers[0]
}

/// Ports of the container by name.
pub fn ports(pod: &Value) -> BTreeMap<String, u64> {
    let ports = list(&container(pod)["ports"]);
    let pair = |port: &Value| {
        (port["name"].as_str().unwrap().to_owned(), port["containerPort"].as_u64().unwrap())
    };
    ports.into_iter().map(pair).collect()
}

#[test]
fn every_file_is_named_in_a_kustomization_and_every_named_one_is_there() {
    for here in
        [BASE, "deploy/kubernetes/overlays/staging", "deploy/kubernetes/overlays/production"]
    {
        let kustomization = yaml(&format!("{here}/kustomization.yaml"));
        let mut named: BTreeSet<String> = BTreeSet::from(["kustomization.yaml".to_owned()]);
        named.extend(texts(&kustomization["resources"]).iter().map(ToString::to_string));
        for patch in list(&kustomization["patches"]) {
            named.insert(patch["path"].as_str().unwrap().to_owned());
        }
        for generator in list(&kustomization["configMapGenerator"]) {
            named.extend(texts(&generator["files"]).iter().map(ToString::to_string));
            named.extend(texts(&generator["envs"]).iter().map(ToString::to_string));
        }
        assert_eq!(named.remove("../../base"), here != BASE);
        let there = fs::read_dir(root(here)).unwrap();
        let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(named, there, "{here}");
    }
}

#[test]
fn the_configuration_of_each_overlay_passes_check() {
    for overlay in Overlay::all() {
        let output = overlay.configured().check();
        assert!(output.status.success(), "{}: {}", overlay.name, said(&output));
        let host = &overlay.env["CLOAKROOM__SERVER__PUBLIC_URL"];
        assert!(said(&output).contains(&format!("ok: app app at {host},")), "{}", said(&output));
        assert_eq!(overlay.env["CLOAKROOM__SERVER__REPLICAS"], overlay.replicas.to_string());
    }
}

#[test]
fn several_replicas_have_redis_and_without_it_there_are_never_two() {
    let [staging, mut production] = Overlay::all();
    assert!(!staging.has_redis() && staging.replicas == 1);
    assert_eq!(staging.strategy(), "Recreate");
    assert!(production.has_redis() && production.replicas >= 2);
    assert_eq!(production.strategy(), "RollingUpdate");
    production.env.retain(|key, _| !key.starts_with("CLOAKROOM__REDIS__"));
    let output = production.configured().check();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("server.replicas: several processes have no [redis]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_ask_the_admin_listener_for_what_it_has() {
    let stack = Stack::start(Setup::default()).await;
    for overlay in Overlay::all() {
        let pod = overlay.pod();
        let configured = config();
        assert_eq!(ports(pod)["admin"], port(&configured["admin"]["listen"]));
        assert_eq!(ports(pod)["http"], port(&configured["server"]["listen"]));
        for (probe, path) in [
            ("livenessProbe", "/livez"),
            ("readinessProbe", "/readyz"),
            ("startupProbe", "/readyz"),
        ] {
            let asked = &container(pod)[probe]["httpGet"];
            assert_eq!(
                (asked["port"].as_str(), asked["path"].as_str()),
                (Some("admin"), Some(path))
            );
            let page = Browser::new().get(&format!("{}{path}", stack.admin)).await;
            assert_eq!(page.status, 200, "{path}");
        }
        let annotations =
            &overlay.object("Deployment")["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/port"], ports(pod)["admin"].to_string());
        let scraped = annotations["prometheus.io/path"].as_str().unwrap();
        assert_eq!(Browser::new().get(&format!("{}{scraped}", stack.admin)).await.status, 200);
    }
    stack.stop().await;
}

#[test]
fn a_pod_may_do_no_more_than_it_must() {
    let dockerfile = text("Dockerfile");
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    for overlay in Overlay::all() {
        let pod = overlay.pod();
        let of_pod = &pod["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"], true);
        assert_eq!(format!("{}:{}", of_pod["runAsUser"], of_pod["runAsGroup"]), user);
        assert_eq!(of_pod["fsGroup"], of_pod["runAsGroup"]);
        assert_ne!(of_pod["runAsUser"], 0);
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        let own = &container(pod)["securityContext"];
        assert_eq!(own["readOnlyRootFilesystem"], true);
        assert_eq!(own["allowPrivilegeEscalation"], false);
        assert_eq!(texts(&own["capabilities"]["drop"]), ["ALL"]);
        assert!(own["capabilities"]["add"].is_null());
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[host].is_null(), "{host}");
        }
        assert_eq!(pod["automountServiceAccountToken"], false);
        let account = overlay.object("ServiceAccount");
        assert_eq!(account["automountServiceAccountToken"], false);
        assert_eq!(account["metadata"]["name"], pod["serviceAccountName"]);
        let resources = &container(pod)["resources"];
        assert!(
            resources["requests"]["cpu"].is_string() && resources["limits"]["memory"].is_string()
        );
    }
}

#[test]
fn a_pod_has_time_to_go_down() {
    for overlay in Overlay::all() {
        let pod = overlay.pod();
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let before = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let shutdown = seconds(&config()["server"]["shutdown_timeout"]);
        assert!(grace > before + shutdown, "{grace} s for {before} s and {shutdown} s");
    }
}

#[test]
fn what_the_configuration_reads_is_mounted_and_the_secrets_are_named_in_the_documentation() {
    let page = text("docs/kubernetes.md");
    for overlay in Overlay::all() {
        let pod = overlay.pod();
        let mounts: BTreeMap<&str, &str> = list(&container(pod)["volumeMounts"])
            .into_iter()
            .map(|mount| (mount["mountPath"].as_str().unwrap(), mount["name"].as_str().unwrap()))
            .collect();
        let volume = |name: &str| {
            let volumes = list(&pod["volumes"]);
            let found = volumes.into_iter().find(|volume| volume["name"] == name);
            found.unwrap_or_else(|| panic!("no volume {name}"))
        };
        let secret = &volume(mounts[SECRETS.trim_end_matches('/')])["secret"];
        assert_eq!(secret["secretName"], "cloakroom-secrets");
        assert_eq!(secret["defaultMode"], 0o440);
        assert!(secret["items"].is_null() && secret["optional"].is_null(), "all of them, always");
        assert_eq!(volume(mounts["/etc/cloakroom"])["configMap"]["name"], "cloakroom-config");
        assert!(volume(mounts["/run/cloakroom"])["emptyDir"].is_object());
        let args = texts(&container(pod)["args"]);
        assert_eq!(args, ["serve", "--config", "/etc/cloakroom/cloakroom.toml"]);
        let config = text(&format!("{BASE}/cloakroom.toml"));
        for name in secret_files(&config, &overlay.env, SECRETS) {
            assert!(page.contains(&format!("--from-file={name}=")), "{name}");
        }
    }
}

#[test]
fn a_disruption_leaves_somebody_to_serve_and_lets_somebody_go() {
    for overlay in Overlay::all() {
        let key = ("PodDisruptionBudget".to_owned(), "cloakroom".to_owned());
        match overlay.objects.get(&key) {
            Some(budget) => {
                let least = budget["spec"]["minAvailable"].as_u64().unwrap();
                assert!(0 < least && least < overlay.replicas, "{}", overlay.name);
            }
            None => assert_eq!(overlay.replicas, 1, "{}", overlay.name),
        }
    }
}
