//! The whole server, as browsers, authorization servers and attackers meet it.

mod admin;
mod api_tokens;
mod attempts;
mod audit;
mod audit_routes;
mod audit_stream;
mod authorization_details;
mod backchannel;
mod backchannel_storms;
mod calls;
mod canary;
mod chunks;
mod claim_rules;
mod client_keys;
mod control;
mod deny_file;
mod dev_server;
mod dpop;
mod dpop_sessions;
mod events;
mod explain;
mod form_post;
mod guards;
mod hostile;
mod instances;
mod instances_apart;
mod key_rotation;
mod listeners;
mod live_apps;
mod live_providers;
mod login;
mod logout;
mod mix_up;
mod mtls;
mod outage;
mod process;
mod providers;
mod public_https;
mod rate_limits;
mod refresh;
mod resource_apis;
mod resource_tokens;
mod resource_trouble;
mod retry;
mod revocations;
mod route_reload;
mod served;
mod server_side;
mod session;
pub mod setup;
mod shared_origin;
mod shutdown;
mod signed_responses;
mod silent_login;
mod slow_clients;
mod step_up;
mod streams;
mod traces;
mod tunnel;
mod tunnel_ends;
mod upstream;
mod wire;

use crate::support::browser::Page;

/// Every `Set-Cookie` line of an answer.
fn set_cookies(page: &Page) -> Vec<String> {
    let lines = page.headers.get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

/// The stable code of a problem document, which must agree with its header.
fn problem_code(page: &Page) -> String {
    let document: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(page.headers["content-type"], "application/problem+json");
    assert_eq!(document["status"], page.status.as_u16());
    let code = document["code"].as_str().unwrap().to_owned();
    assert_eq!(page.headers["cloakroom-error"], code.as_str());
    assert_eq!(page.headers["x-request-id"], document["request_id"].as_str().unwrap());
    code
}
