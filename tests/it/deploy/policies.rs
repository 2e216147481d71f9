//! Who reaches the pods of `deploy/kubernetes`, and whom they reach: selectors, ports, policies.

use std::collections::{BTreeMap, BTreeSet};

use super::kubernetes::{BASE, Overlay, config, ports};
use super::{list, texts, yaml};

#[test]
fn the_service_and_the_policies_select_these_pods_and_name_their_ports() {
    let labels = &yaml(&format!("{BASE}/kustomization.yaml"))["labels"][0];
    assert_eq!(labels["includeTemplates"], true);
    // It would write our label into the selectors of other pods.
    assert!(labels["includeSelectors"].is_null());
    for overlay in Overlay::all() {
        let ours = &labels["pairs"];
        let pod = overlay.pod();
        let service = &overlay.object("Service")["spec"];
        assert_eq!(&service["selector"], ours);
        assert_eq!(&overlay.object("Deployment")["spec"]["selector"]["matchLabels"], ours);
        for spread in list(&pod["topologySpreadConstraints"]) {
            assert_eq!(&spread["labelSelector"]["matchLabels"], ours);
        }
        let served: BTreeSet<&str> = list(&service["ports"])
            .iter()
            .map(|port| port["targetPort"].as_str().unwrap())
            .collect();
        assert_eq!(served, BTreeSet::from(["http"]), "the admin listener is nobody's service");

        let policy = &overlay.object("NetworkPolicy")["spec"];
        assert_eq!(texts(&policy["policyTypes"]), ["Ingress", "Egress"]);
        let mut open = BTreeMap::new();
        for rule in list(&policy["ingress"]) {
            for port in list(&rule["ports"]) {
                let from = &rule["from"][0]["namespaceSelector"]["matchLabels"];
                let from = from["kubernetes.io/metadata.name"].as_str().expect("a named namespace");
                open.insert(port["port"].as_str().unwrap(), from);
            }
        }
        assert_eq!(open, BTreeMap::from([("http", "ingress"), ("admin", "monitoring")]));
        assert!(open.keys().all(|name| ports(pod).contains_key(*name)));
        assert!(served.iter().all(|name| open.contains_key(name)));
    }
}

#[test]
fn the_policies_let_out_what_the_configuration_calls() {
    for overlay in Overlay::all() {
        let policies = overlay.objects.iter().filter(|((kind, _), _)| kind == "NetworkPolicy");
        let mut out: BTreeSet<u64> = BTreeSet::new();
        for (_, policy) in policies {
            let ours = &policy["spec"]["podSelector"]["matchLabels"];
            assert_eq!(ours["app.kubernetes.io/name"], "cloakroom");
            for rule in list(&policy["spec"]["egress"]) {
                assert!(!list(&rule["to"]).is_empty(), "{}: to anywhere", overlay.name);
                out.extend(list(&rule["ports"]).iter().map(|port| port["port"].as_u64().unwrap()));
            }
        }
        let mut called = BTreeSet::from([53]);
        let mut urls = vec![overlay.env["CLOAKROOM__PROVIDER__ISSUER"].clone()];
        urls.extend(overlay.env.get("CLOAKROOM__REDIS__URL").cloned());
        for route in list(&config()["routes"]) {
            urls.push(route["upstream"].as_str().unwrap().to_owned());
        }
        for url in urls {
            let url: url::Url = url.parse().unwrap();
            called.insert(u64::from(url.port_or_known_default().expect("a port")));
        }
        assert_eq!(out, called, "{}", overlay.name);
    }
}
